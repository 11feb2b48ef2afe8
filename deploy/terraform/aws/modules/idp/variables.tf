variable "name" {
  type        = string
  description = "Name of cluster, service and roles; unique in the account. It begins with that of the module secrets."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "The name is 3 to 32 of a-z, 0-9 and -, and begins with a letter."
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
  description = "True: the service is there and has no task, for a region that the primary is not in."
  default     = false
}

variable "image" {
  type        = string
  description = "Image of the IdP in ECR, by digest."

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag can come to mean another image when a task starts."
  }
}

variable "migration_image" {
  type        = string
  description = "Image of the task that migrates, ahead of the service's during an upgrade. Null: the same."
  default     = null

  validation {
    condition     = var.migration_image == null || can(regex("@sha256:[0-9a-f]{64}$", var.migration_image))
    error_message = "Name the image by its digest (…@sha256:…)."
  }
}

variable "tools_image" {
  type        = string
  description = "Image with a shell and wget, for the two containers that make a task ready: the IdP's has neither."
  default     = "public.ecr.aws/docker/library/busybox:1.37"
}

variable "collector_image" {
  type        = string
  description = "AWS's collector of OpenTelemetry (ADOT)."
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.1"
}

variable "architecture" {
  type        = string
  description = "Processor that the images are built for: X86_64 or ARM64."
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "The architecture is X86_64 or ARM64."
  }
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
  description = "Client id of the first administrator, as aidp_c_… One that the IdP makes up would end with the task that made it."

  validation {
    condition     = length(var.bootstrap_client_id) > 0
    error_message = "The first administrator needs a client id."
  }
}

variable "network" {
  type = object({
    vpc_id  = string
    private = list(string)
  })
  description = "Network and subnets of the region."
}

variable "target" {
  type = object({
    target_group_arn  = string
    security_group_id = string
  })
  description = "The region's target of the module balancer."
}

variable "key" {
  type        = string
  description = "ARN of the region's key."
}

variable "secret_arns" {
  type        = map(string)
  description = "ARN of each secret in the region, by its short name."
}

variable "versions" {
  type        = map(string)
  description = "Id of a version of a secret, by its short name. Default: the current one when a task starts."
  default     = {}
}

variable "database" {
  type = object({
    host   = string
    client = string
  })
  description = "Address of the region's own instance, and the security group whose members reach it."
}

variable "cache_client" {
  type        = string
  description = "Security group whose members reach the cache. Null: there is none in this region, and each replica counts on its own."
  default     = null
}

variable "metrics" {
  type = object({
    workspace_arn = string
    endpoint      = string
    region        = string
  })
  description = "Where the collector writes to: the output `metrics` of the module monitoring."
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

variable "min_tasks" {
  type        = number
  description = "Tasks that always run: two, so that one can go."
  default     = 2

  validation {
    condition     = var.min_tasks >= 2
    error_message = "At least two tasks run."
  }
}

variable "max_tasks" {
  type        = number
  description = "Most tasks; each takes up to 11 connections of the database."
  default     = 8

  validation {
    condition     = var.max_tasks >= 2 && var.max_tasks <= 100
    error_message = "The most is 2 to 100."
  }
}

variable "cpu" {
  type        = number
  description = "CPU of a task, 1024 for a core: a millisecond of one for a token."
  default     = 1024

  validation {
    condition     = contains([512, 1024, 2048, 4096, 8192], var.cpu)
    error_message = "The CPU is 512, 1024, 2048, 4096 or 8192."
  }
}

variable "memory_mib" {
  type        = number
  description = "Memory of a task, 256 MiB of it for the collector. Fargate wants 2 to 8 GiB for each core."
  default     = 2048

  validation {
    condition     = var.memory_mib >= 1024 && var.memory_mib <= 61440
    error_message = "The memory is 1024 to 61440 MiB."
  }
}

variable "log_days" {
  type        = number
  description = "How long logs are kept, in days."
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
  default     = {}
}
