output "service" {
  description = "Name of the service; null while it is not made."
  value       = one(google_cloud_run_v2_service.this[*].name)
}

output "account" {
  description = "Address of the account that the service runs as."
  value       = google_service_account.idp.email
}

output "jobs" {
  description = "Names of the jobs, where there are any."
  value = {
    migrate = one(google_cloud_run_v2_job.migrate[*].name)
    declare = one(google_cloud_run_v2_job.declare[*].name)
  }
}
