# Requests come from the load balancer alone. Out go https, for agents' key sets, and
# what the groups of database and cache allow.

locals {
  security_groups = compact([aws_security_group.this.id, var.database.client, var.cache_client])
}

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
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  region                       = var.region
  security_group_id            = var.target.security_group_id
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_vpc_security_group_egress_rule" "https" {
  region            = var.region
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
