variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "First part of the instances' names, and of the private zone's (NAME.internal)."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "region" {
  type        = string
  description = "Region of the primary."
}

variable "generations" {
  type        = map(number)
  description = "Each region with an instance, the primary's among them, and a number that is part of its name: an instance that is made anew needs another, since Cloud SQL remembers names for a week."

  validation {
    condition     = contains(keys(var.generations), var.region)
    error_message = "The region of the primary has no generation."
  }
}

variable "network" {
  type        = string
  description = "Id of the network, peered with Google's services."
}

variable "services_range" {
  type        = string
  description = "Name of the range that the instances' addresses are taken from."
}

variable "keys" {
  type        = map(string)
  description = "Id of the key (CMEK) in each region."
}

variable "ca_secret_id" {
  type        = string
  description = "Id of the secret that gets the authorities of all instances."
}

variable "engine" {
  type        = string
  description = "Version of PostgreSQL. The product's tests run on 15; 14 and later are served from."
  default     = "POSTGRES_15"

  validation {
    condition     = can(regex("^POSTGRES_1[4-9]$", var.engine))
    error_message = "PostgreSQL 14 or later is needed, as POSTGRES_15."
  }
}

variable "edition" {
  type        = string
  description = "ENTERPRISE, or ENTERPRISE_PLUS: shorter maintenance, and a switchover that loses nothing."
  default     = "ENTERPRISE"

  validation {
    condition     = contains(["ENTERPRISE", "ENTERPRISE_PLUS"], var.edition)
    error_message = "The edition is ENTERPRISE or ENTERPRISE_PLUS."
  }
}

variable "tier" {
  type        = string
  description = "Machine of every instance. ENTERPRISE_PLUS has its own, as db-perf-optimized-N-2."
  default     = "db-custom-2-8192"

  validation {
    condition     = startswith(var.tier, "db-") && !contains(["db-f1-micro", "db-g1-small"], var.tier)
    error_message = "Machines with a shared core are not covered by Cloud SQL's promise of availability."
  }
}

variable "disk_gb" {
  type        = number
  description = "Size of the disk at first; it grows by itself."
  default     = 50

  validation {
    condition     = var.disk_gb >= 10
    error_message = "The disk has 10 GB or more."
  }
}

variable "replica_availability" {
  type        = string
  description = "ZONAL, or REGIONAL: a replica that is highly available before it is promoted, at twice the price."
  default     = "ZONAL"

  validation {
    condition     = contains(["ZONAL", "REGIONAL"], var.replica_availability)
    error_message = "The availability is ZONAL or REGIONAL."
  }
}

variable "database" {
  type        = string
  description = "Name of the database. It is made with its roles, by hand: what Terraform makes would belong to cloudsqlsuperuser."
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

variable "flags" {
  type        = map(string)
  description = "More flags of PostgreSQL. The IdP demands fsync and synchronous_commit, and a role that may write: all are on by default."
  default     = {}

  validation {
    condition     = !contains(keys(var.flags), "synchronous_commit") && !contains(keys(var.flags), "default_transaction_read_only") && !contains(keys(var.flags), "max_connections")
    error_message = "synchronous_commit and default_transaction_read_only stay as they are, or the IdP refuses to start; max_connections is a variable of its own."
  }
}

variable "backup_location" {
  type        = string
  description = "Where backups are kept, as us, eu or asia: not in the primary's region alone. Null: the multi-region nearest to it."
  default     = null
}

variable "retained_backups" {
  type        = number
  description = "How many daily backups are kept."
  default     = 30

  validation {
    condition     = var.retained_backups >= 7 && var.retained_backups <= 365
    error_message = "7 to 365 backups are kept."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Whether the API and Terraform refuse to delete instances."
  default     = true
}

variable "labels" {
  type        = map(string)
  description = "Labels of the instances."
  default     = {}
}
