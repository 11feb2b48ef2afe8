# The product's own metrics, in a workspace of Amazon Managed Service for Prometheus:
# what the collector in each task writes, and the rules of deploy/monitoring as they are.

locals {
  rules = "${path.module}/../../../../monitoring/rules"
  files = merge({ recording = "recording.yml", idp = "idp.yml" }, var.sidecar ? { sidecar = "sidecar.yml" } : {})
}

resource "aws_prometheus_workspace" "this" {
  region      = var.region
  alias       = var.name
  kms_key_arn = var.key
  tags        = var.tags

  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.prometheus.arn}:*"
  }
}

# What the workspace says of rules that cannot be evaluated and alerts it cannot send.
resource "aws_cloudwatch_log_group" "prometheus" {
  region            = var.region
  name              = "/aws/vendedlogs/prometheus/${var.name}"
  retention_in_days = 30
  tags              = var.tags
}

resource "aws_prometheus_rule_group_namespace" "this" {
  for_each = local.files

  region       = var.region
  name         = "${var.name}-${each.key}"
  workspace_id = aws_prometheus_workspace.this.id
  data         = file("${local.rules}/${each.value}")
  tags         = var.tags
}

resource "aws_prometheus_alert_manager_definition" "this" {
  region       = var.region
  workspace_id = aws_prometheus_workspace.this.id

  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = {
        receiver        = "topic"
        group_by        = ["alertname", "severity"]
        group_wait      = "30s"
        group_interval  = "5m"
        repeat_interval = "4h"
      }
      receivers = [{
        name = "topic"
        sns_configs = [{
          topic_arn = aws_sns_topic.this[var.region].arn
          sigv4     = { region = var.region }
          subject   = "{{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }}"
        }]
      }]
    })
  })

  depends_on = [aws_sns_topic_policy.this]
}
