# AgentIdP in three regions. The IdP serves where the primary of the database is,
# and is ready to in the others; sidecars verify tokens in each.

locals {
  issuer = "https://${var.idp_host}"
  labels = { app = "agentidp" }

  idp_regions     = toset(var.stage == "stores" ? [] : keys(var.regions))
  sidecar_regions = toset(var.stage == "sidecars" ? keys(var.regions) : [])

  # Versions that modules write, and those that people did.
  versions = merge(var.secret_versions, module.cache.versions, module.monitoring.versions, { database-ca = module.database.ca_version })
}

module "network" {
  source = "../../modules/network"

  project = var.project
  name    = var.name
  subnets = { for region, of in var.regions : region => of.cidr }
}

module "secrets" {
  source = "../../modules/secrets"

  project = var.project
  name    = var.name
  regions = keys(var.regions)
  sidecar = true
  labels  = local.labels
}

module "database" {
  source = "../../modules/database"

  project              = var.project
  name                 = var.name
  region               = var.writer
  generations          = { for region, of in var.regions : region => of.generation }
  replica_availability = var.replica_availability
  network              = module.network.network
  services_range       = module.network.services_range
  keys                 = module.secrets.keys
  ca_secret_id         = module.secrets.ids["database-ca"]
  backup_location      = var.backup_location
  labels               = local.labels
}

# Follows the writer: what it holds may be lost.
module "cache" {
  source = "../../modules/cache"

  project        = var.project
  name           = "${var.name}-${var.regions[var.writer].short}"
  region         = var.writer
  network        = module.network.network
  services_range = module.network.services_range
  key            = module.secrets.keys[var.writer]
  url_secret_id  = module.secrets.ids["redis-url"]
  ca_secret_id   = module.secrets.ids["cache-ca"]
  labels         = local.labels
}

module "idp" {
  source   = "../../modules/idp"
  for_each = local.idp_regions

  project             = var.project
  name                = "${var.name}-idp-${var.regions[each.value].short}"
  region              = each.value
  serve               = contains(["serve", "sidecars"], var.stage)
  standby             = each.value != var.writer
  redis               = each.value == var.writer
  image               = var.idp_image
  migration_image     = var.migration_image
  issuer              = local.issuer
  bootstrap_client_id = var.bootstrap_client_id
  network             = module.network.network
  subnet              = module.network.subnets[each.value]
  key                 = module.secrets.keys[each.value]
  secret_ids          = module.secrets.ids
  versions            = local.versions
  trusted_proxies     = module.idp_balancer.proxies
  labels              = local.labels
}

# One region answers; Google's edge keeps the key set everywhere.
module "idp_balancer" {
  source = "../../modules/balancer"

  project  = var.project
  name     = "${var.name}-idp"
  hosts    = [var.idp_host]
  services = { for region, idp in module.idp : region => idp.service if idp.service != null }
  active   = [var.writer]
  cdn      = true
}

module "sidecar" {
  source   = "../../modules/sidecar"
  for_each = local.sidecar_regions

  project         = var.project
  name            = "${var.name}-notes-${var.regions[each.value].short}"
  region          = each.value
  image           = var.sidecar_image
  api             = var.api
  routes          = file("${path.module}/routes.yaml")
  issuer          = local.issuer
  audience        = var.sidecar.audience
  client_id       = var.sidecar.client_id
  key             = module.secrets.keys[each.value]
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
  services = { for region, sidecar in module.sidecar : region => sidecar.service }
  active   = var.api_regions == null ? keys(var.regions) : var.api_regions
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
