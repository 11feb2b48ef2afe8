output "arns" {
  description = "ARN of each secret by its short name (master-key, pepper, …), in each region: a copy has the region in place of home."
  value = {
    for region in var.regions : region => {
      for name, secret in aws_secretsmanager_secret.this : name => replace(secret.arn, ":${var.home}:", ":${region}:")
    }
  }
}

output "names" {
  description = "Name of each secret for the AWS CLI, by its short name."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.name }
}

output "keys" {
  description = "ARN of the key in each region."
  value       = { for region, key in aws_kms_key.this : region => key.arn }
}
