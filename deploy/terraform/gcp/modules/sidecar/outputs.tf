output "service" {
  description = "Name of the service."
  value       = google_cloud_run_v2_service.this.name
}

output "account" {
  description = "Address of the account that sidecar and API run as."
  value       = google_service_account.this.email
}
