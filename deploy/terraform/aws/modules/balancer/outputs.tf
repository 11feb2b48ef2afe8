output "addresses" {
  description = "Where the hosts must lead to: two addresses (A records), or without an accelerator the name of the load balancer (CNAME, or an alias)."
  value       = var.accelerator ? flatten(aws_globalaccelerator_accelerator.this[*].ip_sets[*].ip_addresses) : values(aws_lb.this)[*].dns_name
}

output "endpoint_groups" {
  description = "ARN of the accelerator's endpoint group of each region, to turn a region on and off by hand."
  value       = { for region, group in aws_globalaccelerator_endpoint_group.this : region => group.arn }
}

output "certificate_records" {
  description = "CNAME records that prove to ACM whose the hosts are; the same for all regions."
  value = {
    for name, values in {
      for record in flatten([for certificate in values(aws_acm_certificate.this) : tolist(certificate.domain_validation_options)]) :
      record.resource_record_name => record.resource_record_value...
    } : name => values[0]
  }
}

output "targets" {
  description = "In each region, what tasks are registered with, and the security group that requests come from."
  value = {
    for region in keys(var.networks) : region => {
      target_group_arn  = aws_lb_target_group.this[region].arn
      security_group_id = aws_security_group.this[region].id
    }
  }
  depends_on = [aws_lb_listener.this]
}

output "metrics" {
  description = "In each region, the load balancer and the target group as CloudWatch calls them."
  value = {
    for region in keys(var.networks) : region => {
      balancer = aws_lb.this[region].arn_suffix
      targets  = aws_lb_target_group.this[region].arn_suffix
    }
  }
}

output "proxies" {
  description = "What stands between client and task: the load balancers' subnets. The accelerator keeps the client's address."
  value       = distinct(flatten(values(var.networks)[*].public_ranges))
}
