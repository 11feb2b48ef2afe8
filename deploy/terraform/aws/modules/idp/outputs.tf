output "service" {
  description = "Name of the service and of its cluster."
  value       = var.name
}

output "jobs" {
  description = "For `aws ecs run-task`: the task definitions, the cluster, the network."
  value = {
    migrate = aws_ecs_task_definition.migrate.family
    declare = aws_ecs_task_definition.declare.family
    cluster = aws_ecs_cluster.this.name
    network = jsonencode({ awsvpcConfiguration = { subnets = var.network.private, securityGroups = local.security_groups, assignPublicIp = "DISABLED" } })
  }
}
