terraform {
  required_version = ">= 1.8, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.20"
    }
  }

  backend "s3" {}
}

provider "aws" {
  region = "eu-central-1"

  default_tags {
    tags = { product = "agentidp" }
  }
}

provider "aws" {
  alias  = "us"
  region = "us-east-1"
}

variable "admin_password" {
  description = "Password of the first administrator."
  type        = string
  sensitive   = true
}

module "store" {
  source = "../modules/store"

  name           = "agentidp"
  admin_password = var.admin_password
  subnets = {
    a = { id = "subnet-1", cidr = "10.0.0.0/24" }
    b = { id = "subnet-2", cidr = "10.0.1.0/24", public = true }
  }

  providers = {
    aws         = aws
    aws.replica = aws.us
  }
}

output "writer" {
  description = "Host name of the writer."
  value       = module.store.addresses[0]
}
