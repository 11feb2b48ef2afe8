# The product's own metrics, as the collector beside each container brings them, and
# the alerts of deploy/monitoring on them, in PromQL.

locals {
  # RunMonitoring's name becomes the label job: the rules know these two.
  collectors = merge(
    { idp-collector = { job = "agentidp", port = 8083 } },
    var.sidecar ? { sidecar-collector = { job = "agentidp-sidecar", port = 8082 } } : {},
  )
}

resource "google_secret_manager_secret_version" "collector" {
  for_each = local.collectors

  secret = var.secret_ids[each.key]
  secret_data = yamlencode({
    apiVersion = "monitoring.googleapis.com/v1beta"
    kind       = "RunMonitoring"
    metadata   = { name = each.value.job }
    spec = {
      endpoints    = [{ port = each.value.port, path = "/metrics", interval = "30s" }]
      targetLabels = { metadata = ["service", "revision"] }
    }
  })

  # Who starts meanwhile still finds the version before.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_monitoring_alert_policy" "product" {
  for_each = merge(local.idp_alerts, var.sidecar ? local.sidecar_alerts : {})

  project               = var.project
  display_name          = "${var.name}: ${each.value.summary}"
  combiner              = "OR"
  severity              = upper(each.value.severity)
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.key

    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = each.value.duration
      evaluation_interval       = "30s"
      alert_rule                = each.value.alert
      rule_group                = "agentidp"
      disable_metric_validation = true # some metrics appear once they happen
    }
  }

  documentation {
    content   = "${each.value.summary}. What it means and what to do: docs/runbooks/${each.value.alert}.md"
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "1800s"
  }
}
