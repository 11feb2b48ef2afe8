terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }

  # Nothing in the state is secret; who can write to it decides what runs. Keep it in
  # a bucket with versions that few can reach. See "What is in the state" in the README.
  backend "s3" {}
}

provider "aws" {
  region = var.region
}
