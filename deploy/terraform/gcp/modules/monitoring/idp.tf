# deploy/monitoring/rules/idp.yml, with its recording rules written out: Cloud
# Monitoring has none. Left out: AgentIdPCertificateExpiring (the load balancer's
# certificate renews itself, the containers have none), AgentIdPSecretsLost (Vault).

locals {
  errors = {
    for window in ["5m", "30m", "1h", "6h"] : window =>
    "sum(rate(agentidp_http_requests_total{job=\"agentidp\",operation=\"issueToken\",status=\"5xx\"}[${window}])) / sum(rate(agentidp_http_requests_total{job=\"agentidp\",operation=\"issueToken\"}[${window}]))"
  }
  slow = {
    for window in ["5m", "30m", "1h", "6h"] : window =>
    "(1 - sum(rate(agentidp_http_request_duration_seconds_bucket{job=\"agentidp\",operation=\"issueToken\",le=\"0.25\"}[${window}])) / sum(rate(agentidp_http_request_duration_seconds_count{job=\"agentidp\",operation=\"issueToken\"}[${window}])))"
  }

  idp_alerts = {
    issuance-errors-critical = {
      alert    = "AgentIdPIssuanceErrors"
      severity = "critical"
      duration = "0s"
      summary  = "token requests fail: two per cent of the month's error budget went in an hour"
      query    = "${local.errors["1h"]} > 0.0144 and ${local.errors["5m"]} > 0.0144 and sum(increase(agentidp_http_requests_total{job=\"agentidp\",operation=\"issueToken\",status=\"5xx\"}[1h])) > 10"
    }
    issuance-errors-warning = {
      alert    = "AgentIdPIssuanceErrors"
      severity = "warning"
      duration = "0s"
      summary  = "token requests fail: five per cent of the month's error budget went in six hours"
      query    = "${local.errors["6h"]} > 0.006 and ${local.errors["30m"]} > 0.006 and sum(increase(agentidp_http_requests_total{job=\"agentidp\",operation=\"issueToken\",status=\"5xx\"}[6h])) > 10"
    }
    issuance-slow-critical = {
      alert    = "AgentIdPIssuanceSlow"
      severity = "critical"
      duration = "0s"
      summary  = "tokens are issued slowly: two per cent of the month's budget of slow answers went in an hour"
      query    = "${local.slow["1h"]} > 0.144 and ${local.slow["5m"]} > 0.144 and sum(increase(agentidp_http_request_duration_seconds_count{job=\"agentidp\",operation=\"issueToken\"}[1h])) > 100"
    }
    issuance-slow-warning = {
      alert    = "AgentIdPIssuanceSlow"
      severity = "warning"
      duration = "0s"
      summary  = "tokens are issued slowly: five per cent of the month's budget of slow answers went in six hours"
      query    = "${local.slow["6h"]} > 0.06 and ${local.slow["30m"]} > 0.06 and sum(increase(agentidp_http_request_duration_seconds_count{job=\"agentidp\",operation=\"issueToken\"}[6h])) > 100"
    }
    replica-missing = {
      alert    = "AgentIdPReplicaMissing"
      severity = "critical"
      duration = "60s"
      summary  = "no replica of the IdP answers"
      query    = "absent(up{job=\"agentidp\"} == 1)"
    }
    dependency-down-critical = {
      alert    = "AgentIdPDependencyDown"
      severity = "critical"
      duration = "60s"
      summary  = "the IdP cannot do its work without store, audit log or signing key"
      query    = "agentidp_dependency_up{dependency=~\"store|audit|signingKey\"} == 0"
    }
    dependency-down-warning = {
      alert    = "AgentIdPDependencyDown"
      severity = "warning"
      duration = "300s"
      summary  = "the IdP is degraded: Redis, policy or status lists"
      query    = "agentidp_dependency_up{dependency!~\"store|audit|signingKey|process\"} == 0"
    }
    audit-writes-failing = {
      alert    = "AgentIdPAuditWritesFailing"
      severity = "critical"
      duration = "0s"
      summary  = "audit events cannot be written, and what needs one is refused"
      query    = "increase(agentidp_audit_write_failures_total[5m]) + increase(agentidp_audit_queue_full_total[5m]) > 0"
    }
    audit-checkpoint-stale = {
      alert    = "AgentIdPAuditCheckpointStale"
      severity = "warning"
      duration = "120s"
      summary  = "the audit log has no new signed checkpoint"
      query    = "time() - agentidp_audit_checkpoint_timestamp_seconds > 300"
    }
    signing-key-rotation-overdue = {
      alert    = "AgentIdPSigningKeyRotationOverdue"
      severity = "warning"
      duration = "3600s"
      summary  = "the signing key should have given way to the next one"
      query    = "max(agentidp_signing_key_age_seconds > (agentidp_signing_key_rotation_seconds > 0) + 86400) or max(agentidp_signing_key_age_seconds) > 180 * 86400"
    }
    signature-fault = {
      alert    = "AgentIdPSignatureFault"
      severity = "critical"
      duration = "0s"
      summary  = "a processor computed wrong signatures, none of which left the program"
      query    = "agentidp_sign_faults > 0"
    }
    credentials-expiring = {
      alert    = "AgentIdPCredentialsExpiring"
      severity = "warning"
      duration = "3600s"
      summary  = "credentials end within two weeks"
      query    = "max(agentidp_credentials_expiring) > 0"
    }
    token-quota-exceeded = {
      alert    = "AgentIdPTokenQuotaExceeded"
      severity = "warning"
      duration = "0s"
      summary  = "an agent has used up its tokens of the month"
      query    = "sum(increase(agentidp_tokens_refused_total{error=\"quota_exceeded\"}[1h])) > 0 or sum(agentidp_tokens_refused_total{error=\"quota_exceeded\"}) unless sum(agentidp_tokens_refused_total{error=\"quota_exceeded\"} offset 1h)"
    }
    reload-failing = {
      alert    = "AgentIdPReloadFailing"
      severity = "warning"
      duration = "300s"
      summary  = "a policy was refused; what was there before stays in force"
      query    = "agentidp_policy_reload_failing == 1"
    }
  }
}
