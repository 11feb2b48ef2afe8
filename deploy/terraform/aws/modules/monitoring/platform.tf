# What AWS sees of the parts that are AWS's, and whether the IdP can be reached from
# outside.

resource "aws_route53_health_check" "idp" {
  count = var.watch ? 1 : 0

  type              = "HTTPS"
  fqdn              = var.host
  port              = 443
  resource_path     = "/health"
  request_interval  = 30
  failure_threshold = 3
  enable_sni        = true
  measure_latency   = false
  tags              = merge(var.tags, { Name = "${var.name}: /health" })
}

locals {
  outside = {
    for check in aws_route53_health_check.idp : "unreachable" => {
      region     = "us-east-1"
      summary    = "the IdP cannot be reached from outside"
      namespace  = "AWS/Route53"
      metric     = "HealthCheckStatus"
      statistic  = "Minimum"
      dimensions = { HealthCheckId = check.id }
      comparison = "LessThanThreshold"
      threshold  = 1
      minutes    = 2
      missing    = "breaching"
    }
  }

  disks = {
    for region, of in var.regions : "database-disk-${region}" => {
      region     = region
      summary    = "a disk of RDS has less than 10 GB left"
      namespace  = "AWS/RDS"
      metric     = "FreeStorageSpace"
      statistic  = "Minimum"
      dimensions = { DBInstanceIdentifier = of.database }
      comparison = "LessThanThreshold"
      threshold  = 10000000000
      minutes    = 5
      missing    = "missing"
    } if of.database != null
  }

  lags = {
    for region, of in var.regions : "database-lag-${region}" => {
      region     = region
      summary    = "a read replica is a minute behind: a failover now would lose that"
      namespace  = "AWS/RDS"
      metric     = "ReplicaLag"
      statistic  = "Maximum"
      dimensions = { DBInstanceIdentifier = of.database }
      comparison = "GreaterThanThreshold"
      threshold  = 60
      minutes    = 5
      missing    = "missing"
    } if of.database != null && of.replica
  }

  caches = merge([
    for region, of in var.regions : {
      for node in ["001", "002"] : "cache-memory-${region}-${node}" => {
        region     = region
        summary    = "Valkey forgets counts of rate limits: its memory is 90 % full"
        namespace  = "AWS/ElastiCache"
        metric     = "DatabaseMemoryUsagePercentage"
        statistic  = "Maximum"
        dimensions = { CacheClusterId = "${of.cache}-${node}" }
        comparison = "GreaterThanThreshold"
        threshold  = 90
        minutes    = 5
        missing    = "missing"
      }
    } if of.cache != null
  ]...)

  memories = merge([
    for region, of in var.regions : {
      for service in of.services : "memory-${service}" => {
        region     = region
        summary    = "tasks of ${service} need nearly all of their memory"
        namespace  = "AWS/ECS"
        metric     = "MemoryUtilization"
        statistic  = "Maximum"
        dimensions = { ClusterName = service, ServiceName = service }
        comparison = "GreaterThanThreshold"
        threshold  = 90
        minutes    = 5
        missing    = "notBreaching"
      }
    }
  ]...)

  refusals = merge([
    for region, of in var.regions : {
      for name, balancer in of.balancers : "balancer-${region}-${name}" => {
        region     = region
        summary    = "the load balancer of ${name} finds no task to answer"
        namespace  = "AWS/ApplicationELB"
        metric     = "HTTPCode_ELB_5XX_Count"
        statistic  = "Sum"
        dimensions = { LoadBalancer = balancer }
        comparison = "GreaterThanThreshold"
        threshold  = 10
        minutes    = 5
        missing    = "notBreaching"
      }
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "platform" {
  for_each = merge(local.outside, local.disks, local.lags, local.caches, local.memories, local.refusals)

  region              = each.value.region
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.summary}. See deploy/terraform/aws/README.md and docs/runbooks."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.this[each.value.region].arn]
  ok_actions          = [aws_sns_topic.this[each.value.region].arn]
  tags                = var.tags

  depends_on = [aws_sns_topic_policy.this]
}

# An instance that fails, fails over or is short of something.
resource "aws_db_event_subscription" "this" {
  for_each = { for region, of in var.regions : region => of.database if of.database != null }

  region           = each.key
  name             = "${var.name}-database"
  sns_topic        = aws_sns_topic.this[each.key].arn
  source_type      = "db-instance"
  source_ids       = [each.value]
  event_categories = ["availability", "failover", "failure", "low storage", "notification", "recovery"]
  tags             = var.tags

  depends_on = [aws_sns_topic_policy.this]
}
