terraform {
  required_version = ">= 1.8, < 2.0"

  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = "~> 6.20"
      configuration_aliases = [aws.replica]
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
  }
}
