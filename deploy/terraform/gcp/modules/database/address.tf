# A name for whichever instance is written to, so that the secrets with the
# database's URL outlive a failover, and the authorities of all instances in one file.

resource "google_dns_managed_zone" "this" {
  project     = var.project
  name        = "${var.name}-database"
  dns_name    = "${var.name}.internal."
  description = "Where the primary of ${var.name} is"
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = var.network
    }
  }
}

resource "google_dns_record_set" "writer" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "database.${google_dns_managed_zone.this.dns_name}"
  type         = "A"
  ttl          = 30
  rrdatas      = [google_sql_database_instance.primary.private_ip_address]
}

data "google_sql_ca_certs" "primary" {
  project  = var.project
  instance = google_sql_database_instance.primary.name
}

data "google_sql_ca_certs" "replica" {
  for_each = google_sql_database_instance.replica

  project  = var.project
  instance = each.value.name
}

locals {
  authorities = concat(
    data.google_sql_ca_certs.primary.certs[*].cert,
    flatten([for replica in data.google_sql_ca_certs.replica : replica.certs[*].cert]),
  )
}

resource "google_secret_manager_secret_version" "ca" {
  secret      = var.ca_secret_id
  secret_data = join("\n", [for pem in local.authorities : trimspace(pem)]) # public

  # Who starts meanwhile still finds the version before.
  lifecycle {
    create_before_destroy = true
  }
}
