# What the API needs of Google Cloud is for its owner to grant to this account: the
# containers of an instance share it.

resource "google_service_account" "this" {
  project      = var.project
  account_id   = var.name
  display_name = "AgentIdP sidecar and its API"
}

resource "google_secret_manager_secret_iam_member" "this" {
  for_each = toset(["sidecar-client-secret", "sidecar-collector"])

  secret_id = var.secret_ids[each.value]
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}

resource "google_project_iam_member" "metrics" {
  project = var.project
  role    = "roles/monitoring.metricWriter"
  member  = google_service_account.this.member
}
