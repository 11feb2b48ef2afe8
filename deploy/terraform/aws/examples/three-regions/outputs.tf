output "issuer" {
  description = "URL of the IdP."
  value       = local.issuer
}

output "addresses" {
  description = "Addresses for your DNS: two A records for each host. They stay when the writer moves."
  value       = { (var.idp_host) = module.idp_balancer.addresses, (var.api_host) = module.api_balancer.addresses }
}

output "certificate_records" {
  description = "For your DNS: CNAME records that the certificates wait for."
  value       = merge(module.idp_balancer.certificate_records, module.api_balancer.certificate_records)
}

output "secret_names" {
  description = "Names of the secrets, for the AWS CLI."
  value       = module.secrets.names
}

output "database" {
  description = "The primary, the replicas, their addresses, the group in each region whose members reach its instance, and the URL: put :PASSWORD behind ROLE. It names no host: tasks are told that of their region."
  value = {
    instance = module.database.instance
    replicas = module.database.replicas
    hosts    = module.database.hosts
    clients  = module.database.clients
    network  = module.network.networks[var.writer]
    url      = "postgres://ROLE@/${module.database.database}?sslmode=verify-full&sslrootcert=/etc/agentidp/database-ca.pem"
  }
}

output "cache" {
  description = "The cache's user, and the URL: put a password for PASSWORD."
  value = {
    user = module.cache.user
    url  = "rediss://${module.cache.user}:PASSWORD@${module.cache.host}:6379"
  }
}

output "endpoint_groups" {
  description = "The accelerators' endpoint groups in each region, for a failover."
  value       = { idp = module.idp_balancer.endpoint_groups, api = module.api_balancer.endpoint_groups }
}

output "jobs" {
  description = "The jobs in each region, from the stage schema on. Keep them where you find them in a failover."
  value       = { for region, idp in module.idp : region => idp.jobs }
}
