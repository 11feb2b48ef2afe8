# Who is in the group `client` reaches the cache, and nobody else.

resource "aws_security_group" "cache" {
  region      = var.region
  name        = "${var.name}-cache"
  description = "Valkey of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = var.tags
}

resource "aws_security_group" "client" {
  region      = var.region
  name        = "${var.name}-cache-client"
  description = "May reach Valkey of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "cache" {
  region                       = var.region
  security_group_id            = aws_security_group.cache.id
  referenced_security_group_id = aws_security_group.client.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_vpc_security_group_egress_rule" "client" {
  region                       = var.region
  security_group_id            = aws_security_group.client.id
  referenced_security_group_id = aws_security_group.cache.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}
