# Who serves reads its own secrets and writes metrics. Who migrates reads the owner's
# URL, which who serves cannot: what owns a table can drop it.

resource "google_service_account" "idp" {
  project      = var.project
  account_id   = var.name
  display_name = "AgentIdP"
}

resource "google_service_account" "owner" {
  project      = var.project
  account_id   = "${var.name}-owner"
  display_name = "AgentIdP migrations"
}

resource "google_secret_manager_secret_iam_member" "idp" {
  for_each = toset(concat(values(local.secrets), local.authorities, ["idp-collector"]))

  secret_id = var.secret_ids[each.value]
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.idp.member
}

resource "google_secret_manager_secret_iam_member" "owner" {
  for_each = toset(concat(values(local.owner_secrets), ["database-ca"]))

  secret_id = var.secret_ids[each.value]
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.owner.member
}

resource "google_project_iam_member" "metrics" {
  project = var.project
  role    = "roles/monitoring.metricWriter"
  member  = google_service_account.idp.member
}
