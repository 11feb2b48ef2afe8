# deploy/monitoring/rules/sidecar.yml. Thresholds of the feed are for the default
# REVOCATION_MAX_STALE, those of the spool are shares of SPOOL_MAX_BYTES.

locals {
  sidecar_alerts = {
    sidecar-not-ready = {
      alert    = "AgentIdPSidecarNotReady"
      severity = "critical"
      duration = "120s"
      summary  = "a sidecar refuses requests"
      query    = "sidecar_ready == 0"
    }
    sidecar-feed-stale-critical = {
      alert    = "AgentIdPSidecarFeedStale"
      severity = "critical"
      duration = "0s"
      summary  = "a sidecar has heard nothing of revocations for ten minutes"
      query    = "sidecar_revocation_lag_seconds > 600"
    }
    sidecar-feed-stale-warning = {
      alert    = "AgentIdPSidecarFeedStale"
      severity = "warning"
      duration = "60s"
      summary  = "a sidecar does not hear of revocations"
      query    = "sidecar_revocation_lag_seconds > 120"
    }
    sidecar-keys-stale = {
      alert    = "AgentIdPSidecarFeedStale"
      severity = "critical"
      duration = "0s"
      summary  = "a sidecar cannot refresh the key set"
      query    = "sidecar_jwks_age_seconds > 6 * 3600"
    }
    upstream-down = {
      alert    = "AgentIdPUpstreamDown"
      severity = "critical"
      duration = "120s"
      summary  = "the API beside a sidecar cannot be reached"
      query    = "max by (job, namespace, instance, upstream) (sidecar_upstream_up) == 0"
    }
    decisions-lost = {
      alert    = "AgentIdPDecisionsLost"
      severity = "critical"
      duration = "0s"
      summary  = "decisions were lost; those of an instance that was killed are counted nowhere"
      query    = "increase(sidecar_audit_lost_total[1h]) + increase(sidecar_records_refused_total[1h]) > 0 or (sidecar_audit_lost_total > 0) unless sidecar_audit_lost_total offset 1h"
    }
    decisions-not-shipped = {
      alert    = "AgentIdPDecisionsNotShipped"
      severity = "warning"
      duration = "120s" # 300 s elsewhere: here they are in memory
      summary  = "a sidecar does not ship its decisions, and they are in memory only"
      query    = "sidecar_audit_lag_seconds > 60"
    }
    spool-filling-critical = {
      alert    = "AgentIdPSpoolFilling"
      severity = "critical"
      duration = "0s"
      summary  = "a sidecar's spool is nearly full: then it answers 503"
      query    = "sidecar_audit_spooled_bytes / sidecar_audit_spool_max_bytes > 0.75 and sidecar_audit_lag_seconds > 60"
    }
    spool-filling-warning = {
      alert    = "AgentIdPSpoolFilling"
      severity = "warning"
      duration = "300s"
      summary  = "a sidecar's spool is half full"
      query    = "sidecar_audit_spooled_bytes / sidecar_audit_spool_max_bytes > 0.5 and sidecar_audit_lag_seconds > 60"
    }
    sidecar-reload-failing = {
      alert    = "AgentIdPReloadFailing"
      severity = "warning"
      duration = "300s"
      summary  = "a policy or route table was refused; what was there before stays in force"
      query    = "sidecar_policy_reload_failing == 1 or sidecar_routes_reload_failing == 1"
    }
  }
}
