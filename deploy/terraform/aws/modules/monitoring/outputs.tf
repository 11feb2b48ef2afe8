output "metrics" {
  description = "Where collectors write to."
  value = {
    workspace_arn = aws_prometheus_workspace.this.arn
    endpoint      = "${aws_prometheus_workspace.this.prometheus_endpoint}api/v1/remote_write"
    region        = var.region
  }
}

output "topics" {
  description = "ARN of the topic in each region, for whatever else should hear of alerts."
  value       = { for region, topic in aws_sns_topic.this : region => topic.arn }
}
