terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # The state holds the password of Redis: keep it in a bucket that few can read,
  # encrypted, with versions. See "What is in the state" in the README.
  backend "gcs" {}
}

provider "google" {
  project = var.project
}
