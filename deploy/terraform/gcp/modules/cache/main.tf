# What replicas of the IdP share and may lose: counts of rate limits, signals.
# One in the region where the IdP serves; without it each replica is on its own.

resource "google_redis_instance" "this" {
  project                 = var.project
  name                    = var.name
  region                  = var.region
  tier                    = "STANDARD_HA"
  memory_size_gb          = var.memory_gb
  redis_version           = var.engine
  authorized_network      = var.network
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  reserved_ip_range       = var.services_range
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"
  customer_managed_key    = var.key
  labels                  = var.labels

  redis_configs = {
    maxmemory-policy = "allkeys-lru" # all of it may be forgotten
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"

      start_time {
        hours   = 3
        minutes = 0
        seconds = 0
        nanos   = 0
      }
    }
  }
}

# The password is made by Memorystore and read back, so it is in the state.
resource "google_secret_manager_secret_version" "url" {
  secret      = var.url_secret_id
  secret_data = "rediss://:${urlencode(google_redis_instance.this.auth_string)}@${google_redis_instance.this.host}:${google_redis_instance.this.port}"

  # Who starts meanwhile still finds the version before.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_version" "ca" {
  secret      = var.ca_secret_id
  secret_data = join("\n", [for pem in google_redis_instance.this.server_ca_certs[*].cert : trimspace(pem)]) # public

  # Who starts meanwhile still finds the version before.
  lifecycle {
    create_before_destroy = true
  }
}
