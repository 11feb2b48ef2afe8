output "instance" {
  description = "Id of the instance."
  value       = google_redis_instance.this.id
}

output "versions" {
  description = "Version of each secret that was written here, by its short name."
  value = {
    redis-url = google_secret_manager_secret_version.url.version
    cache-ca  = google_secret_manager_secret_version.ca.version
  }
}
