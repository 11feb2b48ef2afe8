output "hosts" {
  description = "Address of the instance in each region: the primary's, or the replica's that may become it. An IdP is given its own region's."
  value       = merge({ (var.region) = aws_db_instance.primary.address }, { for region, replica in aws_db_instance.replica : region => replica.address })
}

output "database" {
  description = "Name of the database."
  value       = var.database
}

output "instance" {
  description = "Name of the primary."
  value       = aws_db_instance.primary.identifier
}

output "replicas" {
  description = "Name of the replica in each other region."
  value       = { for region, replica in aws_db_instance.replica : region => replica.identifier }
}

output "clients" {
  description = "Id of the security group in each region whose members reach the instance there."
  value       = { for region, group in aws_security_group.client : region => group.id }
}
