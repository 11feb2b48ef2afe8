# A load balancer in each region in front of tasks of ECS, in one region or several.
# With an accelerator they share two addresses: each client reaches the nearest region
# that has a healthy task, and no DNS has to change when a region is lost.

resource "aws_acm_certificate" "this" {
  for_each = var.networks

  region                    = each.key
  domain_name               = var.hosts[0]
  subject_alternative_names = slice(var.hosts, 1, length(var.hosts))
  validation_method         = "DNS"
  tags                      = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "this" {
  for_each = var.networks

  region      = each.key
  name        = "${var.name}-balancer"
  description = "Load balancer of ${var.name}"
  vpc_id      = each.value.vpc_id
  tags        = var.tags
}

# Port 443 alone: nobody should send a token to port 80, not even to be redirected.
# Where it may go is said by the module of what it leads to.
resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = aws_security_group.this

  region            = each.key
  security_group_id = each.value.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_lb" "this" {
  for_each = var.networks

  region                     = each.key
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = each.value.public
  security_groups            = [aws_security_group.this[each.key].id]
  idle_timeout               = 55 # above a long poll's 30 s, below the 60 s after which the product closes a connection
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  preserve_host_header       = true
  xff_header_processing_mode = "append"
  enable_http2               = true
  enable_deletion_protection = var.deletion_protection
  tags                       = var.tags

  dynamic "access_logs" {
    for_each = compact([lookup(var.log_buckets, each.key, "")])

    content {
      enabled = true
      bucket  = access_logs.value
      prefix  = var.name
    }
  }
}

# It asks whether a task lives, not whether it can serve: ECS replaces tasks that are
# unhealthy here, and an outage of a store, or of the IdP, is no reason to lose them.
resource "aws_lb_target_group" "this" {
  for_each = var.networks

  region                        = each.key
  name                          = var.name
  vpc_id                        = each.value.vpc_id
  target_type                   = "ip"
  protocol                      = "HTTP"
  port                          = var.port
  deregistration_delay          = 35                           # a long poll ends within 30 s
  load_balancing_algorithm_type = "least_outstanding_requests" # long polls spread too
  tags                          = var.tags

  health_check {
    protocol            = "HTTP"
    port                = tostring(var.health.port)
    path                = var.health.path
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "this" {
  for_each = var.listen ? var.networks : {}

  region            = each.key
  load_balancer_arn = aws_lb.this[each.key].arn
  protocol          = "HTTPS"
  port              = 443
  certificate_arn   = aws_acm_certificate.this[each.key].arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
}
