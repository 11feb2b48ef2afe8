variable "name" {
  type        = string
  description = "Name of cluster, service and roles, and of the sidecar in the IdP's list; unique in the account. It begins with that of the module secrets."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "The name is 3 to 32 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "region" {
  type        = string
  description = "Region that it runs in."
}

variable "image" {
  type        = string
  description = "Image of the sidecar in ECR, by digest."

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag can come to mean another image when a task starts."
  }
}

variable "tools_image" {
  type        = string
  description = "Image with a shell and wget, for the two containers that make a task ready: the sidecar's has neither."
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

variable "api" {
  type = object({
    image      = string
    port       = number
    command    = optional(list(string))
    args       = optional(list(string))
    env        = optional(map(string), {})
    cpu        = optional(number, 256)
    memory_mib = optional(number, 512)
    read_only  = optional(bool, true)
  })
  description = "The API's container, with its share of the task's CPU and memory. It listens at a port that is not the sidecar's, best at 127.0.0.1 only."

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

variable "credential_arn" {
  type        = string
  description = "ARN of the secret sidecar-client-secret in the region."
}

variable "credential_version" {
  type        = string
  description = "Id of its version. Null: the current one when a task starts."
  default     = null
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
  description = "Decisions that may wait for the IdP, on the task's disk: what a task that is lost can take along, and how long an outage of the IdP may last before it answers 503."
  default     = 1024

  validation {
    condition     = var.spool_mib >= 1 && var.spool_mib <= 102400
    error_message = "The spool is 1 to 102400 MiB."
  }
}

variable "log_allowed" {
  type        = bool
  description = "Whether allowed requests are logged as refused ones are: CloudWatch then has every decision a second time, unsigned."
  default     = true
}

variable "min_tasks" {
  type        = number
  description = "Tasks that always run."
  default     = 2

  validation {
    condition     = var.min_tasks >= 1
    error_message = "At least one task runs: a sidecar that starts has to ask the IdP before it can decide."
  }
}

variable "max_tasks" {
  type        = number
  description = "Most tasks; each holds a long poll at the IdP."
  default     = 20

  validation {
    condition     = var.max_tasks >= 1 && var.max_tasks <= 1000
    error_message = "The most is 1 to 1000."
  }
}

variable "cpu" {
  type        = number
  description = "CPU of a task, 1024 for a core, the API's share and the collector's 128 included."
  default     = 1024

  validation {
    condition     = contains([512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "The CPU is 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "memory_mib" {
  type        = number
  description = "Memory of a task, the API's share and the collector's 256 MiB included. Fargate wants 2 to 8 GiB for each core."
  default     = 2048

  validation {
    condition     = var.memory_mib >= 1024 && var.memory_mib <= 122880
    error_message = "The memory is 1024 to 122880 MiB."
  }

  validation {
    condition     = var.memory_mib >= var.api.memory_mib + 768
    error_message = "The sidecar needs 512 MiB and the collector 256 beside the API."
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
