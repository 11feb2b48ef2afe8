# Jobs that people start: `gcloud run jobs execute`. The first brings the schema up to
# date as the role that owns the tables; the second declares a restore, with a replica's settings.

resource "google_cloud_run_v2_job" "migrate" {
  count = var.jobs ? 1 : 0

  project             = var.project
  name                = "${var.name}-migrate"
  location            = var.region
  labels              = var.labels
  deletion_protection = false

  template {
    task_count = 1

    template {
      service_account       = google_service_account.owner.email
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      encryption_key        = var.key
      max_retries           = 3 # a migration that fails leaves the schema as it was
      timeout               = "900s"

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"

        network_interfaces {
          network    = var.network
          subnetwork = var.subnet
        }
      }

      containers {
        name  = "migrate"
        image = coalesce(var.migration_image, var.image)
        args  = ["migrate", "up"]

        resources {
          limits = { cpu = "1", memory = "512Mi" }
        }

        dynamic "env" {
          for_each = local.owner_secrets

          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = var.secret_ids[env.value]
                version = lookup(var.versions, env.value, "1")
              }
            }
          }
        }

        volume_mounts {
          name       = "database-ca"
          mount_path = "/etc/agentidp/database-ca"
        }
      }

      volumes {
        name = "database-ca"

        secret {
          secret = var.secret_ids["database-ca"]

          items {
            path    = "ca.pem"
            version = lookup(var.versions, "database-ca", "1")
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.owner]
}

resource "google_cloud_run_v2_job" "declare" {
  count = var.jobs ? 1 : 0

  project             = var.project
  name                = "${var.name}-declare"
  location            = var.region
  labels              = var.labels
  deletion_protection = false

  template {
    task_count = 1

    template {
      service_account       = google_service_account.idp.email
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      encryption_key        = var.key
      max_retries           = 0        # it cuts off every token: once
      timeout               = "21600s" # it verifies the whole audit log first

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"

        network_interfaces {
          network    = var.network
          subnetwork = var.subnet
        }
      }

      containers {
        name  = "declare"
        image = var.image
        args  = ["restore", "--declare"]

        resources {
          limits = { cpu = "1", memory = "1Gi" }
        }

        dynamic "env" {
          for_each = merge(local.settings, { AGENTIDP_MIGRATE = "false" })

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.secrets

          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = var.secret_ids[env.value]
                version = lookup(var.versions, env.value, "1")
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = local.authorities

          content {
            name       = volume_mounts.value
            mount_path = "/etc/agentidp/${volume_mounts.value}"
          }
        }
      }

      dynamic "volumes" {
        for_each = local.authorities

        content {
          name = volumes.value

          secret {
            secret = var.secret_ids[volumes.value]

            items {
              path    = "ca.pem"
              version = lookup(var.versions, volumes.value, "1")
            }
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.idp]
}
