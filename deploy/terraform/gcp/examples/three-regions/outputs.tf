output "issuer" {
  description = "URL of the IdP."
  value       = local.issuer
}

output "addresses" {
  description = "Addresses for your DNS: one A record for each host."
  value       = { (var.idp_host) = module.idp_balancer.address, (var.api_host) = module.api_balancer.address }
}

output "secret_names" {
  description = "Names of the secrets, for gcloud."
  value       = module.secrets.names
}

output "database" {
  description = "The primary, the replicas, and the URL: put :PASSWORD behind ROLE."
  value = {
    instance = module.database.instance
    replicas = module.database.replicas
    url      = "postgres://ROLE@${module.database.host}/${module.database.database}?sslmode=verify-ca&sslrootcert=/etc/agentidp/database-ca/ca.pem"
  }
}

output "jobs" {
  description = "Names of the jobs in each region, from the stage schema on."
  value       = { for region, idp in module.idp : region => idp.jobs }
}
