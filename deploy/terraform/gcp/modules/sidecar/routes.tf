# The route table, as a file. It is no secret: Cloud Run can mount nothing else.

resource "google_secret_manager_secret" "routes" {
  project   = var.project
  secret_id = "${var.name}-routes"
  labels    = var.labels

  replication {
    user_managed {
      replicas {
        location = var.region

        customer_managed_encryption {
          kms_key_name = var.key
        }
      }
    }
  }
}

resource "google_secret_manager_secret_version" "routes" {
  secret      = google_secret_manager_secret.routes.id
  secret_data = var.routes

  # Who starts meanwhile still finds the version before.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_iam_member" "routes" {
  secret_id = google_secret_manager_secret.routes.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}
