output "ids" {
  description = "Id of each secret, by its short name (master-key, pepper, …)."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.id }
}

output "names" {
  description = "Name of each secret for gcloud, by its short name."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}

output "keys" {
  description = "Id of the key in each region, once Google's services may use it."
  value       = { for region, key in google_kms_crypto_key.this : region => key.id }
  depends_on  = [google_kms_crypto_key_iam_member.agents]
}
