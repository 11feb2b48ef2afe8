# Who is in the group `client` of a region reaches the instance there, and nobody else.

resource "aws_security_group" "database" {
  for_each = var.generations

  region      = each.key
  name        = "${var.name}-database"
  description = "PostgreSQL of ${var.name}"
  vpc_id      = var.networks[each.key].vpc_id
  tags        = var.tags
}

resource "aws_security_group" "client" {
  for_each = var.generations

  region      = each.key
  name        = "${var.name}-database-client"
  description = "May reach PostgreSQL of ${var.name}"
  vpc_id      = var.networks[each.key].vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = var.generations

  region                       = each.key
  security_group_id            = aws_security_group.database[each.key].id
  referenced_security_group_id = aws_security_group.client[each.key].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "client" {
  for_each = var.generations

  region                       = each.key
  security_group_id            = aws_security_group.client[each.key].id
  referenced_security_group_id = aws_security_group.database[each.key].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
