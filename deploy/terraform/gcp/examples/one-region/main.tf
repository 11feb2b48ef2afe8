# AgentIdP in one region, and an API behind a sidecar beside it.

locals {
  issuer   = "https://${var.idp_host}"
  labels   = { app = "agentidp" }
  sidecars = var.stage == "sidecars"

  # Versions that modules write, and those that people did.
  versions = merge(var.secret_versions, module.cache.versions, module.monitoring.versions, { database-ca = module.database.ca_version })
}

module "network" {
  source = "../../modules/network"

  project = var.project
  name    = var.name
  subnets = { (var.region) = "10.64.0.0/24" }
}

module "secrets" {
  source = "../../modules/secrets"

  project = var.project
  name    = var.name
  regions = [var.region]
  sidecar = true
  labels  = local.labels
}

module "database" {
  source = "../../modules/database"

  project         = var.project
  name            = var.name
  region          = var.region
  generations     = { (var.region) = 1 }
  network         = module.network.network
  services_range  = module.network.services_range
  keys            = module.secrets.keys
  ca_secret_id    = module.secrets.ids["database-ca"]
  backup_location = var.backup_location
  labels          = local.labels
}

module "cache" {
  source = "../../modules/cache"

  project        = var.project
  name           = var.name
  region         = var.region
  network        = module.network.network
  services_range = module.network.services_range
  key            = module.secrets.keys[var.region]
  url_secret_id  = module.secrets.ids["redis-url"]
  ca_secret_id   = module.secrets.ids["cache-ca"]
  labels         = local.labels
}

module "idp" {
  source = "../../modules/idp"
  count  = var.stage == "stores" ? 0 : 1

  project             = var.project
  name                = "${var.name}-idp"
  region              = var.region
  serve               = contains(["serve", "sidecars"], var.stage)
  image               = var.idp_image
  migration_image     = var.migration_image
  issuer              = local.issuer
  bootstrap_client_id = var.bootstrap_client_id
  network             = module.network.network
  subnet              = module.network.subnets[var.region]
  key                 = module.secrets.keys[var.region]
  secret_ids          = module.secrets.ids
  versions            = local.versions
  trusted_proxies     = module.idp_balancer.proxies
  labels              = local.labels
}

module "idp_balancer" {
  source = "../../modules/balancer"

  project  = var.project
  name     = "${var.name}-idp"
  hosts    = [var.idp_host]
  services = { for idp in module.idp : var.region => idp.service if idp.service != null }
  active   = [var.region]
  cdn      = true
}

module "sidecar" {
  source = "../../modules/sidecar"
  count  = local.sidecars ? 1 : 0

  project         = var.project
  name            = "${var.name}-notes"
  region          = var.region
  image           = var.sidecar_image
  api             = var.api
  routes          = file("${path.module}/routes.yaml")
  issuer          = local.issuer
  audience        = var.sidecar.audience
  client_id       = var.sidecar.client_id
  key             = module.secrets.keys[var.region]
  secret_ids      = module.secrets.ids
  versions        = local.versions
  trusted_proxies = module.api_balancer.proxies
  labels          = local.labels
}

module "api_balancer" {
  source = "../../modules/balancer"

  project  = var.project
  name     = "${var.name}-notes"
  hosts    = [var.api_host]
  services = { for sidecar in module.sidecar : var.region => sidecar.service }
  active   = [var.region]
}

module "monitoring" {
  source = "../../modules/monitoring"

  project               = var.project
  name                  = var.name
  host                  = var.idp_host
  secret_ids            = module.secrets.ids
  sidecar               = true
  notification_channels = var.notification_channels
  labels                = local.labels
}
