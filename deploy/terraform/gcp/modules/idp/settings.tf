# Variables of docs/operations.md. Paths and ports are the image's: /data, 8080 for
# the API, 8083 for /metrics.

locals {
  settings = merge(
    {
      AGENTIDP_ISSUER              = var.issuer
      AGENTIDP_TRUSTED_PROXIES     = join(",", var.trusted_proxies)
      AGENTIDP_BOOTSTRAP_CLIENT_ID = var.bootstrap_client_id

      # Cloud Run sends no more requests before SIGTERM, and kills after ten seconds.
      AGENTIDP_DRAIN_DELAY   = "0s"
      AGENTIDP_DRAIN_TIMEOUT = "7s"
    },
    # Memorystore's authority is its own. Go reads this folder beside the system's file.
    var.redis ? { SSL_CERT_DIR = "/etc/agentidp/cache-ca" } : {},
    var.settings,
  )

  secrets = merge(
    {
      AGENTIDP_MASTER_KEY              = "master-key"
      AGENTIDP_PEPPER                  = "pepper"
      AGENTIDP_BOOTSTRAP_CLIENT_SECRET = "bootstrap-client-secret"
      DATABASE_URL                     = "database-url"
    },
    var.redis ? { REDIS_URL = "redis-url" } : {},
  )

  # A migration: not the master key, which only who serves needs.
  owner_secrets = {
    DATABASE_URL = "owner-database-url"
  }

  # Files of authorities, by the secret's name.
  authorities = concat(["database-ca"], var.redis ? ["cache-ca"] : [])
}
