# Global Accelerator: the same two addresses everywhere. A region without a healthy
# task is passed over by itself; `active` takes one out by hand.

resource "aws_globalaccelerator_accelerator" "this" {
  count = var.accelerator ? 1 : 0

  name            = var.name
  ip_address_type = "IPV4"
  enabled         = true
  tags            = var.tags
}

resource "aws_globalaccelerator_listener" "this" {
  count = var.accelerator ? 1 : 0

  accelerator_arn = aws_globalaccelerator_accelerator.this[0].arn
  protocol        = "TCP"
  client_affinity = "NONE"

  port_range {
    from_port = 443
    to_port   = 443
  }
}

resource "aws_globalaccelerator_endpoint_group" "this" {
  for_each = var.accelerator ? aws_lb.this : {}

  listener_arn            = aws_globalaccelerator_listener.this[0].arn
  endpoint_group_region   = each.key
  traffic_dial_percentage = contains(var.active, each.key) ? 100 : 0

  endpoint_configuration {
    endpoint_id                    = each.value.arn
    weight                         = 128
    client_ip_preservation_enabled = true # X-Forwarded-For names the client
  }
}
