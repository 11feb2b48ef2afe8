# Empty secrets: Terraform makes the places, people and other modules put versions
# into them. Each is kept in the regions named and nowhere else.

locals {
  names = toset([
    "master-key", "pepper", "bootstrap-client-secret", "database-url", "owner-database-url", # by hand, never in the state
    "redis-url", "cache-ca", "database-ca",                                                  # by the modules cache and database
    "idp-collector",                                                                         # by the module monitoring
  ])
  sidecar_names = var.sidecar ? toset(["sidecar-client-secret", "sidecar-collector"]) : toset([])
}

resource "google_secret_manager_secret" "this" {
  for_each = setunion(local.names, local.sidecar_names)

  project             = var.project
  secret_id           = "${var.name}-${each.key}"
  labels              = var.labels
  deletion_protection = true
  version_destroy_ttl = "604800s" # a week to think again

  replication {
    user_managed {
      dynamic "replicas" {
        for_each = var.regions

        content {
          location = replicas.value

          customer_managed_encryption {
            kms_key_name = google_kms_crypto_key.this[replicas.value].id
          }
        }
      }
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agents]
}
