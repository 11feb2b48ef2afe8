variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "Name of the service and of its account, and of the sidecar in the IdP's list; unique in the project."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.name))
    error_message = "The name is 6 to 30 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "region" {
  type        = string
  description = "Region that it runs in."
}

variable "image" {
  type        = string
  description = "Image of the sidecar in Artifact Registry, by digest."

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag can come to mean another image when an instance starts."
  }
}

variable "collector_image" {
  type        = string
  description = "Google's collector of Prometheus metrics for Cloud Run."
  default     = "us-docker.pkg.dev/cloud-ops-agents-artifacts/cloud-run-gmp-sidecar/cloud-run-gmp-sidecar:1.2.0"
}

variable "api" {
  type = object({
    image   = string
    port    = number
    command = optional(list(string))
    args    = optional(list(string))
    env     = optional(map(string), {})
    cpu     = optional(string, "1")
    memory  = optional(string, "512Mi")
  })
  description = "The API's container. It listens at a port that is not the sidecar's, on every address of the instance, so that Cloud Run's probe reaches it, and goes on for five seconds after SIGTERM: the sidecar still forwards to it."

  validation {
    condition     = var.api.port > 0 && var.api.port < 65536 && !contains([8081, 8082], var.api.port)
    error_message = "8081 and 8082 are the sidecar's."
  }
}

variable "routes" {
  type        = string
  description = "Route table of the sidecar, in YAML (docs/sidecar.md). A change is a new revision."

  validation {
    condition     = can(yamldecode(var.routes).routes)
    error_message = "The table has no member routes."
  }
}

variable "issuer" {
  type        = string
  description = "URL of the IdP, the iss of every token; keys, feed and audit are asked for there."

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+$", var.issuer))
    error_message = "The issuer is https://HOST, without a path or a slash at its end."
  }
}

variable "audience" {
  type        = string
  description = "The resource that tokens must be for, compared byte for byte."

  validation {
    condition     = length(var.audience) > 0
    error_message = "The sidecar needs an audience."
  }
}

variable "client_id" {
  type        = string
  description = "Client id of the sidecar's own agent, of type sidecar with revocations:read and decisions:write."

  validation {
    condition     = length(var.client_id) > 0
    error_message = "The sidecar needs a client id."
  }
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

variable "trusted_proxies" {
  type        = list(string)
  description = "Addresses between client and sidecar, the load balancer's among them: whose X-Forwarded-For counts."

  validation {
    condition     = length(var.trusted_proxies) > 0 && alltrue([for cidr in var.trusted_proxies : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Name ranges, not everybody: with none all clients are one address, with 0.0.0.0/0 each chooses its own."
  }
}

variable "settings" {
  type        = map(string)
  description = "More settings of docs/sidecar.md, by variable. Nothing secret: they are in the state."
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : startswith(name, "AGENTIDP_SIDECAR_") && !can(regex("(CLIENT_SECRET|PPROF|ALLOW_HTTP|ADDR|DATA_DIR|LISTEN|SPOOL_MAX_BYTES|SPOOL_WHEN_FULL)$", name))])
    error_message = "Settings begin with AGENTIDP_SIDECAR_; secrets, addresses, folder, spool, PPROF and ALLOW_HTTP are not set here."
  }
}

variable "spool_mib" {
  type        = number
  description = "Decisions that may wait for the IdP, in memory: what an instance can lose, and how long an outage of the IdP may last before it answers 503."
  default     = 64

  validation {
    condition     = var.spool_mib >= 1 && var.spool_mib <= 1024
    error_message = "The spool is 1 to 1024 MiB."
  }
}

variable "log_allowed" {
  type        = bool
  description = "Whether allowed requests are logged as refused ones are: Cloud Logging then has every decision a second time, unsigned."
  default     = true
}

variable "min_instances" {
  type        = number
  description = "Instances that always run."
  default     = 2

  validation {
    condition     = var.min_instances >= 1
    error_message = "At least one instance runs: a sidecar that starts has to ask the IdP before it can decide."
  }
}

variable "max_instances" {
  type        = number
  description = "Most instances; each holds a long poll at the IdP."
  default     = 20

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000
    error_message = "The most is 1 to 1000."
  }
}

variable "concurrency" {
  type        = number
  description = "Requests that an instance takes at once."
  default     = 200

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000
    error_message = "The concurrency is 1 to 1000."
  }
}

variable "request_timeout_seconds" {
  type        = number
  description = "How long a request may take; streams and WebSockets end with it."
  default     = 300

  validation {
    condition     = var.request_timeout_seconds >= 30 && var.request_timeout_seconds <= 3600
    error_message = "The timeout is 30 to 3600 seconds."
  }
}

variable "cpu" {
  type        = string
  description = "Cores of the sidecar's container."
  default     = "1"

  validation {
    condition     = contains(["1", "2", "4", "8"], var.cpu)
    error_message = "The container has 1, 2, 4 or 8 cores."
  }
}

variable "memory_mib" {
  type        = number
  description = "Memory of the sidecar's container, the spool included."
  default     = 1024

  validation {
    condition     = var.memory_mib >= 512 && var.memory_mib <= 32768
    error_message = "The memory is 512 to 32768 MiB."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Whether Terraform refuses to delete the service."
  default     = true
}

variable "labels" {
  type        = map(string)
  description = "Labels of the service."
  default     = {}
}
