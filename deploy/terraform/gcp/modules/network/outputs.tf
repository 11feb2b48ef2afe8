output "network" {
  description = "Id of the network, once Google's networks are peered: who uses it waits for that."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.this]
}

output "subnets" {
  description = "Id of the subnet in each region."
  value       = { for region, subnet in google_compute_subnetwork.this : region => subnet.id }
}

output "services_range" {
  description = "Name of the range that Cloud SQL and Memorystore are given."
  value       = google_compute_global_address.services.name
}
