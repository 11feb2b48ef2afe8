output "versions" {
  description = "Version of each secret that was written here, by its short name."
  value       = { for name, version in google_secret_manager_secret_version.collector : name => version.version }
}
