output "addresses" {
  description = "Host names, the writer first."
  value       = aws_db_instance.this[*].address
}

output "key" {
  description = "Key that data is encrypted with."
  value       = aws_kms_key.this.arn
}

output "master_password" {
  description = "Password of the database's owner."
  value       = random_password.master.result
  sensitive   = true
}
