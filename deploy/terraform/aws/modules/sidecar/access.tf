# Requests come from the load balancer alone, and its question whether the sidecar
# lives. Out goes https: to the IdP, and to what the API needs of AWS.

resource "aws_security_group" "this" {
  region      = var.region
  name        = var.name
  description = "Tasks of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  region                       = var.region
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = var.target.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 8081
  to_port                      = 8082
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  region                       = var.region
  security_group_id            = var.target.security_group_id
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 8081
  to_port                      = 8082
}

resource "aws_vpc_security_group_egress_rule" "https" {
  region            = var.region
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
