# Answers are made up but for those that something else is computed from.
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["b", "c", "a"]
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

run "no_such_stage" {
  command = plan

  variables {
    stage = "everything"
  }

  expect_failures = [var.stage]
}

run "backups_beside_the_primary" {
  command = plan

  variables {
    backup_region = "eu-west-1"
  }

  expect_failures = [var.backup_region]
}
