output "address" {
  description = "Address that the hosts must lead to."
  value       = google_compute_global_address.this.address
}

output "proxies" {
  description = "What stands between client and container: Cloud Run's own hop, Google's front ends, this address."
  value       = ["169.254.0.0/16", "35.191.0.0/16", "130.211.0.0/22", "${google_compute_global_address.this.address}/32"]
}

output "backend" {
  description = "Name of the backend service, for its metrics and for gcloud."
  value       = google_compute_backend_service.this.name
}
