# The primary, highly available within its region, and read replicas in others.
# The IdP has no read-only mode: it serves from the primary alone, and a replica
# is what another region starts from when the primary's is lost.

locals {
  primary = "${var.name}-${var.region}-${var.generations[var.region]}"
  flags   = merge({ max_connections = tostring(var.max_connections), log_lock_waits = "on" }, var.flags)
}

resource "google_sql_database_instance" "primary" {
  project             = var.project
  name                = local.primary
  region              = var.region
  database_version    = var.engine
  encryption_key_name = var.keys[var.region]
  deletion_protection = var.deletion_protection # Terraform's own; the API's is below

  settings {
    tier                        = var.tier
    edition                     = var.edition
    availability_type           = "REGIONAL"
    activation_policy           = "ALWAYS"
    disk_type                   = "PD_SSD"
    disk_size                   = var.disk_gb
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection
    retain_backups_on_delete    = true
    connector_enforcement       = "NOT_REQUIRED" # the IdP speaks PostgreSQL over TLS itself
    user_labels                 = var.labels

    ip_configuration {
      ipv4_enabled       = false
      private_network    = var.network
      allocated_ip_range = var.services_range
      ssl_mode           = "ENCRYPTED_ONLY"
      server_ca_mode     = "GOOGLE_MANAGED_INTERNAL_CA" # one authority for each instance: verify-ca tells which it is
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      location                       = var.backup_location
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7

      backup_retention_settings {
        retained_backups = var.retained_backups
        retention_unit   = "COUNT"
      }
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }

    insights_config {
      query_insights_enabled  = true
      query_string_length     = 1024
      record_application_tags = false
      record_client_address   = false
    }

    dynamic "database_flags" {
      for_each = local.flags

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [settings[0].disk_size] # it grows by itself
  }
}

resource "google_sql_database_instance" "replica" {
  for_each = setsubtract(keys(var.generations), [var.region])

  project              = var.project
  name                 = "${var.name}-${each.value}-${var.generations[each.value]}"
  region               = each.value
  database_version     = var.engine
  master_instance_name = google_sql_database_instance.primary.name
  encryption_key_name  = var.keys[each.value]
  deletion_protection  = false # a copy, made anew by another generation; protected once it is the primary

  settings {
    tier                        = var.tier # the primary of tomorrow
    edition                     = var.edition
    availability_type           = var.replica_availability
    disk_type                   = "PD_SSD"
    disk_autoresize             = true
    deletion_protection_enabled = false
    user_labels                 = var.labels

    ip_configuration {
      ipv4_enabled       = false
      private_network    = var.network
      allocated_ip_range = var.services_range
      ssl_mode           = "ENCRYPTED_ONLY"
      server_ca_mode     = "GOOGLE_MANAGED_INTERNAL_CA"
    }

    # A replica needs at least the primary's max_connections to start.
    dynamic "database_flags" {
      for_each = local.flags

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  lifecycle {
    ignore_changes = [settings[0].disk_size]
  }
}
