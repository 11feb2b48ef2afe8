# AgentIdP in one region, and an API behind a sidecar beside it.

locals {
  issuer   = "https://${var.idp_host}"
  tags     = { app = "agentidp" }
  sidecars = var.stage == "sidecars"
  serves   = contains(["serve", "sidecars"], var.stage)
}

module "network" {
  source = "../../modules/network"

  name     = var.name
  networks = { (var.region) = "10.64.0.0/20" }
  tags     = local.tags
}

module "secrets" {
  source = "../../modules/secrets"

  name    = var.name
  home    = var.region
  regions = [var.region, var.backup_region]
  sidecar = true
  tags    = local.tags
}

module "database" {
  source = "../../modules/database"

  name          = var.name
  region        = var.region
  generations   = { (var.region) = 1 }
  networks      = module.network.networks
  keys          = module.secrets.keys
  backup_region = var.backup_region
  tags          = local.tags
}

module "cache" {
  source = "../../modules/cache"

  name    = var.name
  region  = var.region
  network = module.network.networks[var.region]
  key     = module.secrets.keys[var.region]
  tags    = local.tags
}

module "idp_balancer" {
  source = "../../modules/balancer"

  name     = "${var.name}-idp"
  hosts    = [var.idp_host]
  networks = module.network.networks
  port     = 8080
  health   = { port = 8080, path = "/health/live" }
  listen   = var.stage != "stores"
  active   = [var.region]
  tags     = local.tags
}

module "idp" {
  source = "../../modules/idp"
  count  = var.stage == "stores" ? 0 : 1

  name                = "${var.name}-idp"
  region              = var.region
  serve               = local.serves
  image               = var.idp_image
  migration_image     = var.migration_image
  issuer              = local.issuer
  bootstrap_client_id = var.bootstrap_client_id
  network             = module.network.networks[var.region]
  target              = module.idp_balancer.targets[var.region]
  key                 = module.secrets.keys[var.region]
  secret_arns         = module.secrets.arns[var.region]
  versions            = var.secret_versions
  database            = { host = module.database.hosts[var.region], client = module.database.clients[var.region] }
  cache_client        = module.cache.client
  metrics             = module.monitoring.metrics
  trusted_proxies     = module.idp_balancer.proxies
  tags                = local.tags
}

module "api_balancer" {
  source = "../../modules/balancer"

  name     = "${var.name}-notes"
  hosts    = [var.api_host]
  networks = module.network.networks
  port     = 8081
  health   = { port = 8082, path = "/health" }
  listen   = var.stage != "stores"
  active   = [var.region]
  tags     = local.tags
}

module "sidecar" {
  source = "../../modules/sidecar"
  count  = local.sidecars ? 1 : 0

  name               = "${var.name}-notes"
  region             = var.region
  image              = var.sidecar_image
  api                = var.api
  routes             = file("${path.module}/routes.yaml")
  issuer             = local.issuer
  audience           = var.sidecar.audience
  client_id          = var.sidecar.client_id
  credential_arn     = module.secrets.arns[var.region]["sidecar-client-secret"]
  credential_version = lookup(var.secret_versions, "sidecar-client-secret", null)
  network            = module.network.networks[var.region]
  target             = module.api_balancer.targets[var.region]
  key                = module.secrets.keys[var.region]
  metrics            = module.monitoring.metrics
  trusted_proxies    = module.api_balancer.proxies
  tags               = local.tags
}

module "monitoring" {
  source = "../../modules/monitoring"

  name    = var.name
  region  = var.region
  host    = var.idp_host
  watch   = local.serves
  key     = module.secrets.keys[var.region]
  sidecar = true
  emails  = var.emails
  tags    = local.tags

  regions = {
    (var.region) = {
      database = module.database.instance
      cache    = module.cache.group
      services = concat(local.serves ? ["${var.name}-idp"] : [], local.sidecars ? ["${var.name}-notes"] : [])
      balancers = {
        idp   = module.idp_balancer.metrics[var.region].balancer
        notes = module.api_balancer.metrics[var.region].balancer
      }
    }
  }
}
