# A key in each region, for what is kept there. The IdP itself does not ask Cloud
# KMS: its master key encrypts the signing keys, and this key the master key.

data "google_project" "this" {
  project_id = var.project
}

locals {
  agents = {
    cloud-sql      = "gcp-sa-cloud-sql"
    redis          = "cloud-redis"
    cloud-run      = "serverless-robot-prod"
    secret-manager = "gcp-sa-secretmanager"
  }

  grants = {
    for pair in setproduct(keys(local.agents), var.regions) :
    "${pair[0]}/${pair[1]}" => { agent = local.agents[pair[0]], region = pair[1] }
  }
}

resource "google_kms_key_ring" "this" {
  for_each = var.regions

  project  = var.project
  name     = var.name
  location = each.value
}

resource "google_kms_crypto_key" "this" {
  for_each = var.regions

  name                       = "stores"
  key_ring                   = google_kms_key_ring.this[each.value].id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "7776000s" # 90 days
  destroy_scheduled_duration = "2592000s" # 30 days
  labels                     = var.labels

  version_template {
    algorithm        = "GOOGLE_SYMMETRIC_ENCRYPTION"
    protection_level = var.protection_level
  }

  # Without it database, backups and secrets are of no use.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = local.grants

  crypto_key_id = google_kms_crypto_key.this[each.value.region].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@${each.value.agent}.iam.gserviceaccount.com"
}
