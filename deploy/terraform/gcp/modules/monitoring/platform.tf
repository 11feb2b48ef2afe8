# What Google sees of the parts that are Google's, and whether the IdP can be
# reached from outside.

resource "google_monitoring_uptime_check_config" "idp" {
  project      = var.project
  display_name = "${var.name}: /health"
  timeout      = "10s"
  period       = "60s"
  checker_type = "STATIC_IP_CHECKERS"
  user_labels  = var.labels

  http_check {
    path           = "/health"
    port           = 443
    use_ssl        = true
    validate_ssl   = true
    request_method = "GET"

    accepted_response_status_codes {
      status_value = 200
    }
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project, host = var.host }
  }
}

locals {
  platform_alerts = {
    unreachable = {
      summary    = "the IdP cannot be reached from two regions of Google's"
      severity   = "CRITICAL"
      filter     = "resource.type = \"uptime_url\" AND metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id = \"${google_monitoring_uptime_check_config.idp.uptime_check_id}\""
      aligner    = "ALIGN_NEXT_OLDER"
      reducer    = "REDUCE_COUNT_FALSE"
      comparison = "COMPARISON_GT"
      threshold  = 1
      duration   = "60s"
    }
    database-down = {
      summary    = "an instance of Cloud SQL does not run"
      severity   = "CRITICAL"
      filter     = "resource.type = \"cloudsql_database\" AND metric.type = \"cloudsql.googleapis.com/database/up\" AND resource.labels.database_id = starts_with(\"${var.project}:${var.name}-\")"
      aligner    = "ALIGN_MEAN"
      reducer    = "REDUCE_NONE"
      comparison = "COMPARISON_LT"
      threshold  = 1
      duration   = "120s"
    }
    database-disk = {
      summary    = "a disk of Cloud SQL is 85 % full"
      severity   = "WARNING"
      filter     = "resource.type = \"cloudsql_database\" AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\" AND resource.labels.database_id = starts_with(\"${var.project}:${var.name}-\")"
      aligner    = "ALIGN_MEAN"
      reducer    = "REDUCE_NONE"
      comparison = "COMPARISON_GT"
      threshold  = 0.85
      duration   = "300s"
    }
    database-lag = {
      summary    = "a read replica is a minute behind: a failover now would lose that"
      severity   = "WARNING"
      filter     = "resource.type = \"cloudsql_database\" AND metric.type = \"cloudsql.googleapis.com/database/replication/replica_lag\" AND resource.labels.database_id = starts_with(\"${var.project}:${var.name}-\")"
      aligner    = "ALIGN_MEAN"
      reducer    = "REDUCE_NONE"
      comparison = "COMPARISON_GT"
      threshold  = 60
      duration   = "300s"
    }
    redis-memory = {
      summary    = "Redis forgets counts of rate limits: its memory is 90 % full"
      severity   = "WARNING"
      filter     = "resource.type = \"redis_instance\" AND metric.type = \"redis.googleapis.com/stats/memory/usage_ratio\""
      aligner    = "ALIGN_MEAN"
      reducer    = "REDUCE_NONE"
      comparison = "COMPARISON_GT"
      threshold  = 0.9
      duration   = "300s"
    }
    killed = {
      summary    = "a container of Cloud Run needs nearly all of its memory"
      severity   = "WARNING"
      filter     = "resource.type = \"cloud_run_revision\" AND metric.type = \"run.googleapis.com/container/memory/utilizations\" AND resource.labels.service_name = starts_with(\"${var.name}\")"
      aligner    = "ALIGN_PERCENTILE_99"
      reducer    = "REDUCE_MAX"
      comparison = "COMPARISON_GT"
      threshold  = 0.9
      duration   = "300s"
    }
  }
}

resource "google_monitoring_alert_policy" "platform" {
  for_each = local.platform_alerts

  project               = var.project
  display_name          = "${var.name}: ${each.value.summary}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.key

    condition_threshold {
      filter          = each.value.filter
      comparison      = each.value.comparison
      threshold_value = each.value.threshold
      duration        = each.value.duration

      aggregations {
        alignment_period     = each.key == "unreachable" ? "1200s" : "60s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = each.value.reducer == "REDUCE_MAX" ? ["resource.labels.service_name"] : []
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    content   = "${each.value.summary}. See deploy/terraform/gcp/README.md and docs/runbooks."
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "1800s"
  }
}
