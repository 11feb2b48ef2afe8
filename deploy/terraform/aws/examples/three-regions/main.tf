# AgentIdP in three regions. The IdP serves where the primary of the database is,
# and is ready to in the others; sidecars verify tokens in each.

locals {
  issuer = "https://${var.idp_host}"
  tags   = { app = "agentidp" }
  serves = contains(["serve", "sidecars"], var.stage)

  idp_regions     = toset(var.stage == "stores" ? [] : keys(var.regions))
  sidecar_regions = toset(var.stage == "sidecars" ? keys(var.regions) : [])
  generations     = { for region, of in var.regions : region => of.generation }

  # Each region pulls from its own copy of the repository: the digest is the same.
  registry = "/[.]ecr[.][a-z0-9-]+[.]/"

  idp_names   = { for region, of in var.regions : region => "${var.name}-idp-${of.short}" }
  notes_names = { for region, of in var.regions : region => "${var.name}-notes-${of.short}" }
}

module "network" {
  source = "../../modules/network"

  name     = var.name
  networks = { for region, of in var.regions : region => of.cidr }
  tags     = local.tags
}

module "secrets" {
  source = "../../modules/secrets"

  name    = var.name
  home    = var.home
  regions = keys(var.regions)
  sidecar = true
  tags    = local.tags
}

module "database" {
  source = "../../modules/database"

  name             = var.name
  region           = var.writer
  generations      = local.generations
  replicas         = var.stage != "stores"
  replica_multi_az = var.replica_multi_az
  networks         = module.network.networks
  keys             = module.secrets.keys
  tags             = local.tags
}

# Follows the writer: what it holds may be lost.
module "cache" {
  source = "../../modules/cache"

  name    = "${var.name}-${var.regions[var.writer].short}"
  region  = var.writer
  network = module.network.networks[var.writer]
  key     = module.secrets.keys[var.writer]
  tags    = local.tags
}

# The region that a task runs in answers: the writer's.
module "idp_balancer" {
  source = "../../modules/balancer"

  name        = "${var.name}-idp"
  hosts       = [var.idp_host]
  networks    = module.network.networks
  port        = 8080
  health      = { port = 8080, path = "/health/live" }
  listen      = var.stage != "stores"
  accelerator = true
  active      = [var.writer]
  tags        = local.tags
}

module "idp" {
  source   = "../../modules/idp"
  for_each = local.idp_regions

  name                = local.idp_names[each.value]
  region              = each.value
  serve               = local.serves
  standby             = each.value != var.writer
  image               = replace(var.idp_image, local.registry, ".ecr.${each.value}.")
  migration_image     = var.migration_image == null ? null : replace(var.migration_image, local.registry, ".ecr.${each.value}.")
  issuer              = local.issuer
  bootstrap_client_id = var.bootstrap_client_id
  network             = module.network.networks[each.value]
  target              = module.idp_balancer.targets[each.value]
  key                 = module.secrets.keys[each.value]
  secret_arns         = module.secrets.arns[each.value]
  versions            = var.secret_versions
  database            = { host = module.database.hosts[each.value], client = module.database.clients[each.value] }
  cache_client        = each.value == var.writer ? module.cache.client : null
  metrics             = module.monitoring.metrics
  trusted_proxies     = module.idp_balancer.proxies
  tags                = local.tags
}

module "api_balancer" {
  source = "../../modules/balancer"

  name        = "${var.name}-notes"
  hosts       = [var.api_host]
  networks    = module.network.networks
  port        = 8081
  health      = { port = 8082, path = "/health" }
  listen      = var.stage != "stores"
  accelerator = true
  active      = var.api_regions == null ? keys(var.regions) : var.api_regions
  tags        = local.tags
}

module "sidecar" {
  source   = "../../modules/sidecar"
  for_each = local.sidecar_regions

  name               = local.notes_names[each.value]
  region             = each.value
  image              = replace(var.sidecar_image, local.registry, ".ecr.${each.value}.")
  api                = merge(var.api, { image = replace(var.api.image, local.registry, ".ecr.${each.value}.") })
  routes             = file("${path.module}/routes.yaml")
  issuer             = local.issuer
  audience           = var.sidecar.audience
  client_id          = var.sidecar.client_id
  credential_arn     = module.secrets.arns[each.value]["sidecar-client-secret"]
  credential_version = lookup(var.secret_versions, "sidecar-client-secret", null)
  network            = module.network.networks[each.value]
  target             = module.api_balancer.targets[each.value]
  key                = module.secrets.keys[each.value]
  metrics            = module.monitoring.metrics
  trusted_proxies    = module.api_balancer.proxies
  tags               = local.tags
}

# Looks on from a region that is not the writer's.
module "monitoring" {
  source = "../../modules/monitoring"

  name    = var.name
  region  = var.monitoring_region
  host    = var.idp_host
  watch   = local.serves
  key     = module.secrets.keys[var.monitoring_region]
  sidecar = true
  emails  = var.emails
  tags    = local.tags

  regions = {
    for region in keys(var.regions) : region => {
      database  = region == var.writer ? module.database.instance : lookup(module.database.replicas, region, null)
      replica   = region != var.writer
      cache     = region == var.writer ? module.cache.group : null
      services  = concat(local.serves ? [local.idp_names[region]] : [], var.stage == "sidecars" ? [local.notes_names[region]] : [])
      balancers = merge({ notes = module.api_balancer.metrics[region].balancer }, region == var.writer ? { idp = module.idp_balancer.metrics[region].balancer } : {})
    }
  }
}
