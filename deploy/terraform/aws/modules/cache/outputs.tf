output "host" {
  description = "Address of whichever node is written to, for REDIS_URL."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "user" {
  description = "Id and name of the user, for REDIS_URL and to give it a password."
  value       = aws_elasticache_user.this.user_id
}

output "group" {
  description = "Id of the replication group."
  value       = aws_elasticache_replication_group.this.replication_group_id
}

output "client" {
  description = "Id of the security group whose members reach it."
  value       = aws_security_group.client.id
}
