variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "Name of the service and of its account; unique in the project."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{5,22}[a-z0-9]$", var.name))
    error_message = "The name is 7 to 24 of a-z, 0-9 and -, and begins with a letter: an account's with -owner has at most 30."
  }
}

variable "region" {
  type        = string
  description = "Region that it runs in."
}

variable "serve" {
  type        = bool
  description = "Whether to make the service; false until the schema is there."
  default     = true
}

variable "standby" {
  type        = bool
  description = "True: the service is there and has no instance, for a region that the primary is not in."
  default     = false
}

variable "jobs" {
  type        = bool
  description = "Whether to make the jobs."
  default     = true
}

variable "image" {
  type        = string
  description = "Image of the IdP in Artifact Registry, by digest."

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag can come to mean another image when an instance starts."
  }
}

variable "migration_image" {
  type        = string
  description = "Image of the job that migrates, ahead of the service's during an upgrade. Null: the same."
  default     = null

  validation {
    condition     = var.migration_image == null || can(regex("@sha256:[0-9a-f]{64}$", var.migration_image))
    error_message = "Name the image by its digest (…@sha256:…)."
  }
}

variable "collector_image" {
  type        = string
  description = "Google's collector of Prometheus metrics for Cloud Run."
  default     = "us-docker.pkg.dev/cloud-ops-agents-artifacts/cloud-run-gmp-sidecar/cloud-run-gmp-sidecar:1.2.0"
}

variable "issuer" {
  type        = string
  description = "Public URL of the IdP, the iss of every token. The same in every region."

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+$", var.issuer))
    error_message = "The issuer is https://HOST, without a path or a slash at its end."
  }
}

variable "bootstrap_client_id" {
  type        = string
  description = "Client id of the first administrator, as aidp_c_… One that the IdP makes up would end with the instance that made it."

  validation {
    condition     = length(var.bootstrap_client_id) > 0
    error_message = "The first administrator needs a client id."
  }
}

variable "network" {
  type        = string
  description = "Id of the network."
}

variable "subnet" {
  type        = string
  description = "Id of the region's subnet."
}

variable "key" {
  type        = string
  description = "Id of the region's key (CMEK)."
}

variable "secret_ids" {
  type        = map(string)
  description = "Id of each secret, by its short name."
}

variable "versions" {
  type        = map(string)
  description = "Version of each secret, by its short name; default 1. A new one is a new revision."
  default     = {}
}

variable "redis" {
  type        = bool
  description = "Whether there is a Redis for this region. Without it each replica counts on its own."
  default     = true
}

variable "trusted_proxies" {
  type        = list(string)
  description = "Addresses between client and IdP, the load balancer's among them: whose X-Forwarded-For counts."

  validation {
    condition     = length(var.trusted_proxies) > 0 && alltrue([for cidr in var.trusted_proxies : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Name ranges, not everybody: with none all clients share one rate limit, with 0.0.0.0/0 each chooses its own address."
  }
}

variable "settings" {
  type        = map(string)
  description = "More settings of docs/operations.md, by variable. Nothing secret: they are in the state."
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^(AGENTIDP_|OTEL_)[A-Z0-9_]+$", name)) && !can(regex("(MASTER_KEY|PEPPER|SECRET_ID|CLIENT_SECRET|PPROF|ALLOW_HTTP|MIGRATE|ADDR)$", name))])
    error_message = "Settings begin with AGENTIDP_ or OTEL_; secrets, addresses, MIGRATE, PPROF and ALLOW_HTTP are not set here."
  }
}

variable "min_instances" {
  type        = number
  description = "Instances that always run: two, so that one can go."
  default     = 2

  validation {
    condition     = var.min_instances >= 2
    error_message = "At least two instances run."
  }
}

variable "max_instances" {
  type        = number
  description = "Most instances; each takes up to 11 connections of the database."
  default     = 8

  validation {
    condition     = var.max_instances >= 2 && var.max_instances <= 100
    error_message = "The most is 2 to 100."
  }
}

variable "concurrency" {
  type        = number
  description = "Requests that an instance takes at once. Each sidecar holds one all the time, the long poll of the revocation feed, and another one with POLICY_BUNDLE."
  default     = 500

  validation {
    condition     = var.concurrency >= 80 && var.concurrency <= 1000
    error_message = "The concurrency is 80 to 1000."
  }
}

variable "request_timeout_seconds" {
  type        = number
  description = "How long a request may take: above the 30 s of a long poll, and as long as an export of the audit log."
  default     = 900

  validation {
    condition     = var.request_timeout_seconds >= 60 && var.request_timeout_seconds <= 3600
    error_message = "The timeout is 60 to 3600 seconds."
  }
}

variable "cpu" {
  type        = string
  description = "Cores of the IdP's container: a millisecond of one for a token."
  default     = "1"

  validation {
    condition     = contains(["1", "2", "4", "8"], var.cpu)
    error_message = "The container has 1, 2, 4 or 8 cores."
  }
}

variable "memory" {
  type        = string
  description = "Memory of the IdP's container."
  default     = "512Mi"

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.memory))
    error_message = "The memory is written as 512Mi or 1Gi."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Whether Terraform refuses to delete the service."
  default     = true
}

variable "labels" {
  type        = map(string)
  description = "Labels of service and jobs."
  default     = {}
}
