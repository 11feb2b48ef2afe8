variable "name" {
  type        = string
  description = "First part of the instances' names."

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9]){2,30}$", var.name))
    error_message = "The name begins with a letter, has a-z, 0-9 and single dashes, and does not end with one."
  }
}

variable "region" {
  type        = string
  description = "Region of the primary."
}

variable "generations" {
  type        = map(number)
  description = "Each region with an instance, the primary's among them, and a number that is part of its name: an instance that is made anew needs another while the old one is still there."

  validation {
    condition     = contains(keys(var.generations), var.region)
    error_message = "The region of the primary has no generation."
  }
}

variable "replicas" {
  type        = bool
  description = "Whether to make the replicas: once RDS does not keep the password of `postgres` any more, since it makes none of an instance whose password it keeps."
  default     = true
}

variable "networks" {
  type = map(object({
    vpc_id = string
    stores = list(string)
  }))
  description = "Network and subnets in each region."
}

variable "keys" {
  type        = map(string)
  description = "ARN of the key in each region, that of the backups among them."
}

variable "engine_version" {
  type        = string
  description = "Major version of PostgreSQL. The product's tests run on 15; 14 and later are served from."
  default     = "15"

  validation {
    condition     = can(regex("^1[4-9]$", var.engine_version))
    error_message = "PostgreSQL 14 or later is needed, as 15: minor versions come by themselves."
  }
}

variable "instance_class" {
  type        = string
  description = "Machine of every instance."
  default     = "db.m7g.large"

  validation {
    condition     = startswith(var.instance_class, "db.") && !startswith(var.instance_class, "db.t")
    error_message = "Machines that are throttled once their credits are used up (db.t…) are not for this."
  }
}

variable "storage_gb" {
  type        = number
  description = "Size of the disk at first; it grows by itself."
  default     = 100

  validation {
    condition     = var.storage_gb >= 20
    error_message = "The disk has 20 GB or more."
  }
}

variable "max_storage_gb" {
  type        = number
  description = "Size that the disk grows to."
  default     = 1000

  validation {
    condition     = var.max_storage_gb >= 100
    error_message = "The disk may grow to 100 GB or more."
  }
}

variable "replica_multi_az" {
  type        = bool
  description = "Whether replicas are in two zones before they are promoted, at twice the price."
  default     = false
}

variable "database" {
  type        = string
  description = "Name of the database. It is made with its roles, by hand."
  default     = "agentidp"
}

variable "max_connections" {
  type        = number
  description = "Connections that the server takes. An IdP makes up to 10 for its pool and one to listen."
  default     = 200

  validation {
    condition     = var.max_connections >= 50 && var.max_connections <= 5000
    error_message = "The server takes 50 to 5000 connections."
  }
}

variable "parameters" {
  type        = map(string)
  description = "More parameters of PostgreSQL, dynamic ones."
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.parameters), ["synchronous_commit", "default_transaction_read_only", "rds.force_ssl", "max_connections"])) == 0
    error_message = "synchronous_commit, rds.force_ssl and default_transaction_read_only stay as they are, or the IdP refuses to start or is not encrypted; max_connections is a variable of its own."
  }
}

variable "backup_region" {
  type        = string
  description = "Another region that backups are copied to as well, with a key in `keys`. Null: the primary's alone."
  default     = null
}

variable "retained_days" {
  type        = number
  description = "For how many days backups are kept, and any second of them can be gone back to."
  default     = 30

  validation {
    condition     = var.retained_days >= 7 && var.retained_days <= 35
    error_message = "Backups are kept for 7 to 35 days."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Whether RDS refuses to delete the primary."
  default     = true
}

variable "tags" {
  type        = map(string)
  description = "Tags of the instances."
  default     = {}
}
