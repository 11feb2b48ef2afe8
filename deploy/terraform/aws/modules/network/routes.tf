# The ways out. Stores have none: their subnets stay with the main table, which
# leads nowhere but to the network itself.

resource "aws_internet_gateway" "this" {
  for_each = aws_vpc.this

  region = each.key
  vpc_id = each.value.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_route_table" "public" {
  for_each = aws_vpc.this

  region = each.key
  vpc_id = each.value.id
  tags   = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "public" {
  for_each = aws_route_table.public

  region                 = each.key
  route_table_id         = each.value.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[each.key].id
}

resource "aws_route_table_association" "public" {
  for_each = local.subnets

  region         = each.value.region
  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public[each.value.region].id
}

# One in each zone: a zone that is lost takes its own way out along, no other's.
resource "aws_eip" "this" {
  for_each = local.subnets

  region = each.value.region
  domain = "vpc"
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_nat_gateway" "this" {
  for_each = local.subnets

  region        = each.value.region
  subnet_id     = aws_subnet.public[each.key].id
  allocation_id = aws_eip.this[each.key].id
  tags          = merge(var.tags, { Name = var.name })

  depends_on = [aws_route.public]
}

resource "aws_route_table" "private" {
  for_each = local.subnets

  region = each.value.region
  vpc_id = aws_vpc.this[each.value.region].id
  tags   = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_route" "private" {
  for_each = local.subnets

  region                 = each.value.region
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.key].id
}

resource "aws_route_table_association" "private" {
  for_each = local.subnets

  region         = each.value.region
  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# Layers of images come from S3: by this they cost nothing at the way out.
resource "aws_vpc_endpoint" "s3" {
  for_each = aws_vpc.this

  region            = each.key
  vpc_id            = each.value.id
  service_name      = "com.amazonaws.${each.key}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for key, subnet in local.subnets : aws_route_table.private[key].id if subnet.region == each.key]
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}
