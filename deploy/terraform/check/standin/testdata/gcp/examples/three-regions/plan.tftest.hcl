# Answers are made up but for those that something else is computed from.
mock_provider "google" {
  mock_resource "google_compute_global_address" {
    defaults = {
      address = "203.0.113.10"
    }
  }
}

run "stores" {}

run "schema" {
  variables {
    stage = "schema"
  }
}

run "serve" {
  variables {
    stage = "serve"
  }
}

run "sidecars" {
  variables {
    stage = "sidecars"
  }
}
