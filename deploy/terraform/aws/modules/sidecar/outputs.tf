output "service" {
  description = "Name of the service and of its cluster."
  value       = aws_ecs_service.this.name
}

output "role" {
  description = "Name of the role that sidecar and API run as."
  value       = aws_iam_role.task.name
}
