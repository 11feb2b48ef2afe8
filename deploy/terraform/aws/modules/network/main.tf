# A network of its own in each region: public subnets for load balancers and the way
# out, private ones for what runs, and some without any way out for the stores.
# Networks of two regions are not connected: nothing here reaches over.

data "aws_availability_zones" "this" {
  for_each = var.networks

  region = each.key
  state  = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  # Of a /20: /24 for load balancers, /24 for stores, /23 for what runs.
  subnets = merge([
    for region, cidr in var.networks : {
      for i in range(var.zones) : "${region}/${i}" => {
        region  = region
        zone    = sort(data.aws_availability_zones.this[region].names)[i]
        public  = cidrsubnet(cidr, 4, i)
        stores  = cidrsubnet(cidr, 4, 4 + i)
        private = cidrsubnet(cidr, 3, 4 + i)
      }
    }
  ]...)
}

resource "aws_vpc" "this" {
  for_each = var.networks

  region               = each.key
  cidr_block           = each.value
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(var.tags, { Name = var.name })
}

# What is not given a group of its own gets this one, and reaches nothing.
resource "aws_default_security_group" "this" {
  for_each = aws_vpc.this

  region = each.key
  vpc_id = each.value.id
  tags   = var.tags
}

resource "aws_subnet" "public" {
  for_each = local.subnets

  region                  = each.value.region
  vpc_id                  = aws_vpc.this[each.value.region].id
  availability_zone       = each.value.zone
  cidr_block              = each.value.public
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_subnet" "private" {
  for_each = local.subnets

  region            = each.value.region
  vpc_id            = aws_vpc.this[each.value.region].id
  availability_zone = each.value.zone
  cidr_block        = each.value.private
  tags              = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_subnet" "stores" {
  for_each = local.subnets

  region            = each.value.region
  vpc_id            = aws_vpc.this[each.value.region].id
  availability_zone = each.value.zone
  cidr_block        = each.value.stores
  tags              = merge(var.tags, { Name = "${var.name}-stores" })
}
