# Variables of docs/sidecar.md. Paths and ports are the image's: /data, 8081 for
# requests, 8082 for health and /metrics.

locals {
  mebibyte = 1048576

  settings = merge(
    {
      AGENTIDP_SIDECAR_NAME            = var.name
      AGENTIDP_SIDECAR_ROUTES          = "/etc/agentidp-sidecar/routes.yaml"
      AGENTIDP_SIDECAR_UPSTREAM        = "http://127.0.0.1:${var.api.port}"
      AGENTIDP_SIDECAR_ISSUER          = var.issuer
      AGENTIDP_SIDECAR_AUDIENCE        = var.audience
      AGENTIDP_SIDECAR_CLIENT_ID       = var.client_id
      AGENTIDP_SIDECAR_TRUSTED_PROXIES = join(",", var.trusted_proxies)

      # The disk ends with the task: no request when the spool is full. Allowed
      # requests are logged too, as a second record.
      AGENTIDP_SIDECAR_SPOOL_WHEN_FULL = "block"
      AGENTIDP_SIDECAR_SPOOL_MAX_BYTES = tostring(var.spool_mib * local.mebibyte)
      AGENTIDP_SIDECAR_LOG_LEVEL       = var.log_allowed ? "debug" : "info"

      # ECS has the load balancer end what is under way before it sends SIGTERM; then
      # five seconds to ship decisions.
      AGENTIDP_SIDECAR_DRAIN_DELAY   = "5s"
      AGENTIDP_SIDECAR_DRAIN_TIMEOUT = "30s"
    },
    var.settings,
  )

  # As ECS names a version: its id at the end.
  reference = var.credential_version == null ? var.credential_arn : "${var.credential_arn}:::${var.credential_version}"
}
