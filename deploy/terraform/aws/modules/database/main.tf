# The primary, in two zones of its region, and read replicas in others. The IdP has
# no read-only mode: it serves from the primary alone, and a replica is what another
# region starts from when the primary's is lost.

locals {
  primary = "${var.name}-${var.region}-${var.generations[var.region]}"

  # fsync is not ours to set: RDS has it on.
  parameters = merge(
    {
      "rds.force_ssl"      = "1"
      "synchronous_commit" = "on"
      "log_lock_waits"     = "1"
      "max_connections"    = tostring(var.max_connections)
    },
    var.parameters,
  )
}

resource "aws_db_subnet_group" "this" {
  for_each = var.generations

  region     = each.key
  name       = var.name
  subnet_ids = var.networks[each.key].stores
  tags       = var.tags
}

resource "aws_db_parameter_group" "this" {
  for_each = var.generations

  region = each.key
  name   = "${var.name}-postgres${var.engine_version}"
  family = "postgres${var.engine_version}"
  tags   = var.tags

  # A replica needs at least the primary's max_connections to start.
  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value
      apply_method = parameter.key == "max_connections" ? "pending-reboot" : "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "primary" {
  region                       = var.region
  identifier                   = local.primary
  engine                       = "postgres"
  engine_version               = var.engine_version
  instance_class               = var.instance_class
  multi_az                     = true
  storage_type                 = "gp3"
  allocated_storage            = var.storage_gb
  max_allocated_storage        = var.max_storage_gb
  storage_encrypted            = true
  kms_key_id                   = var.keys[var.region]
  db_subnet_group_name         = aws_db_subnet_group.this[var.region].name
  vpc_security_group_ids       = [aws_security_group.database[var.region].id]
  parameter_group_name         = aws_db_parameter_group.this[var.region].name
  ca_cert_identifier           = "rds-ca-rsa2048-g1"
  publicly_accessible          = false
  port                         = 5432
  auto_minor_version_upgrade   = true
  allow_major_version_upgrade  = false
  apply_immediately            = false
  maintenance_window           = "sun:03:00-sun:04:00"
  backup_window                = "01:00-02:00"
  backup_retention_period      = var.retained_days
  copy_tags_to_snapshot        = true
  delete_automated_backups     = false
  skip_final_snapshot          = false
  final_snapshot_identifier    = "${local.primary}-final"
  deletion_protection          = var.deletion_protection
  performance_insights_enabled = true

  performance_insights_kms_key_id = var.keys[var.region]
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]

  # RDS makes the password and keeps it in Secrets Manager: it is never in the state.
  # Before there can be replicas people take it over; see the README.
  username                      = "postgres"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.keys[var.region]

  tags = var.tags

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [allocated_storage, manage_master_user_password, master_user_secret_kms_key_id]
  }
}

resource "aws_db_instance" "replica" {
  for_each = var.replicas ? setsubtract(keys(var.generations), [var.region]) : toset([])

  region                       = each.value
  identifier                   = "${var.name}-${each.value}-${var.generations[each.value]}"
  replicate_source_db          = aws_db_instance.primary.arn
  instance_class               = var.instance_class # the primary of tomorrow
  multi_az                     = var.replica_multi_az
  storage_type                 = "gp3"
  max_allocated_storage        = var.max_storage_gb
  storage_encrypted            = true
  kms_key_id                   = var.keys[each.value]
  db_subnet_group_name         = aws_db_subnet_group.this[each.value].name
  vpc_security_group_ids       = [aws_security_group.database[each.value].id]
  parameter_group_name         = aws_db_parameter_group.this[each.value].name
  ca_cert_identifier           = "rds-ca-rsa2048-g1"
  publicly_accessible          = false
  auto_minor_version_upgrade   = true
  apply_immediately            = false
  maintenance_window           = "sat:03:00-sat:04:00" # a day before the primary
  backup_retention_period      = 0                     # promoting it turns them on
  copy_tags_to_snapshot        = true
  skip_final_snapshot          = true
  deletion_protection          = false # a copy, made anew by another generation; protected once it is the primary
  performance_insights_enabled = true

  performance_insights_kms_key_id = var.keys[each.value]
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]

  tags = var.tags

  lifecycle {
    ignore_changes = [allocated_storage]
  }
}

# The primary's backups and its log, a second time in another region.
resource "aws_db_instance_automated_backups_replication" "this" {
  count = var.backup_region == null ? 0 : 1

  region                 = var.backup_region
  source_db_instance_arn = aws_db_instance.primary.arn
  kms_key_id             = var.keys[var.backup_region]
  retention_period       = var.retained_days
}
