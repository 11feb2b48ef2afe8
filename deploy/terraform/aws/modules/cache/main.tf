# What replicas of the IdP share and may lose: counts of rate limits, signals. One
# in the region where the IdP serves; without it each replica is on its own.

resource "aws_elasticache_subnet_group" "this" {
  region     = var.region
  name       = var.name
  subnet_ids = var.network.stores
  tags       = var.tags
}

resource "aws_elasticache_parameter_group" "this" {
  region = var.region
  name   = "${var.name}-${local.family}"
  family = local.family
  tags   = var.tags

  parameter {
    name  = "maxmemory-policy"
    value = "allkeys-lru" # all of it may be forgotten
  }

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  family = "valkey${split(".", var.engine_version)[0]}"
}

# Made without a password, for who has a right of IAM to connect, and nobody has it:
# so none is in the state. People give it one (the README), which stays.
resource "aws_elasticache_user" "this" {
  region        = var.region
  user_id       = var.name
  user_name     = var.name
  engine        = "valkey"
  access_string = "on ~* &* +@all -@admin -@dangerous"
  tags          = var.tags

  authentication_mode {
    type = "iam"
  }

  lifecycle {
    ignore_changes = [authentication_mode, passwords]
  }
}

# Without a user `default`: who gives no name is nobody.
resource "aws_elasticache_user_group" "this" {
  region        = var.region
  user_group_id = var.name
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.this.user_id]
  tags          = var.tags
}

resource "aws_elasticache_replication_group" "this" {
  region                     = var.region
  replication_group_id       = var.name
  description                = "Counts and signals of ${var.name}"
  engine                     = "valkey"
  engine_version             = var.engine_version
  node_type                  = var.node_type
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.key
  user_group_ids             = [aws_elasticache_user_group.this.user_group_id]
  parameter_group_name       = aws_elasticache_parameter_group.this.name
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.cache.id]
  port                       = 6379
  maintenance_window         = "sun:03:00-sun:04:00"
  snapshot_retention_limit   = 0 # nothing in it is worth one
  auto_minor_version_upgrade = true
  tags                       = var.tags
}
