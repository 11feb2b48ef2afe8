output "issuer" {
  description = "URL of the IdP."
  value       = local.issuer
}

output "addresses" {
  description = "For your DNS: a CNAME (or alias) from each host to the name of its load balancer."
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
  description = "The instance, its address, the group whose members reach it, and the URL: put :PASSWORD behind ROLE. It names no host, which tasks are told."
  value = {
    instance = module.database.instance
    host     = module.database.hosts[var.region]
    client   = module.database.clients[var.region]
    network  = module.network.networks[var.region]
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

output "jobs" {
  description = "The jobs, from the stage schema on."
  value       = one(module.idp[*].jobs)
}
