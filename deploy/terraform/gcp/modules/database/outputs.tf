output "host" {
  description = "Name of whichever instance is written to, for DATABASE_URL."
  value       = trimsuffix(google_dns_record_set.writer.name, ".")
}

output "database" {
  description = "Name of the database."
  value       = var.database
}

output "instance" {
  description = "Name of the primary."
  value       = google_sql_database_instance.primary.name
}

output "replicas" {
  description = "Name of the replica in each other region."
  value       = { for region, replica in google_sql_database_instance.replica : region => replica.name }
}

output "ca_version" {
  description = "Version of the secret with the authorities."
  value       = google_secret_manager_secret_version.ca.version
}
