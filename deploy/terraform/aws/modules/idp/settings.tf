# Variables of docs/operations.md. Paths and ports are the image's: /data, 8080 for
# the API, 8083 for /metrics.

locals {
  settings = merge(
    {
      AGENTIDP_ISSUER              = var.issuer
      AGENTIDP_TRUSTED_PROXIES     = join(",", var.trusted_proxies)
      AGENTIDP_BOOTSTRAP_CLIENT_ID = var.bootstrap_client_id
      AGENTIDP_MIGRATE             = "false"

      # DATABASE_URL names no host, so that it is the same in all regions: each region's
      # own instance is asked. Not the primary of another, and a replica is refused.
      PGHOST = var.database.host

      # ECS has the load balancer end what is under way before it sends SIGTERM.
      AGENTIDP_DRAIN_DELAY   = "5s"
      AGENTIDP_DRAIN_TIMEOUT = "35s"
    },
    var.settings,
  )

  secrets = merge(
    {
      AGENTIDP_MASTER_KEY              = "master-key"
      AGENTIDP_PEPPER                  = "pepper"
      AGENTIDP_BOOTSTRAP_CLIENT_SECRET = "bootstrap-client-secret"
      DATABASE_URL                     = "database-url"
    },
    var.cache_client == null ? {} : { REDIS_URL = "redis-url" },
  )

  # A migration: not the master key, which only who serves needs.
  owner_secrets = {
    DATABASE_URL = "owner-database-url"
  }

  # As ECS names a version: its id at the end. Without one a task takes the current
  # version when it starts.
  references = {
    for name, arn in var.secret_arns : name => contains(keys(var.versions), name) ? "${arn}:::${var.versions[name]}" : arn
  }
}
