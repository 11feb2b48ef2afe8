variable "name" {
  type        = string
  description = "Name of everything that is made here."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}$", var.name)) && !startswith(var.name, "internal-")
    error_message = "The name is 2 to 23 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "hosts" {
  type        = list(string)
  description = "Host names of the certificate. It is issued once the records of the output `certificate_records` are in DNS."

  validation {
    condition     = length(var.hosts) > 0 && alltrue([for host in var.hosts : can(regex("^[a-z0-9.-]+$", host))])
    error_message = "At least one host name is needed, without a wildcard."
  }
}

variable "networks" {
  type = map(object({
    vpc_id        = string
    public        = list(string)
    public_ranges = list(string)
  }))
  description = "Network and public subnets in each region."
}

variable "port" {
  type        = number
  description = "Port of the tasks: 8080 of the IdP, 8081 of a sidecar."
}

variable "health" {
  type = object({
    port = number
    path = string
  })
  description = "Where a task says that it lives: 8080 and /health/live of the IdP, 8082 and /health of a sidecar."
}

variable "listen" {
  type        = bool
  description = "Whether to listen: false until the certificate is issued."
  default     = true
}

variable "accelerator" {
  type        = bool
  description = "Whether clients come by Global Accelerator: with more than one region they have to."
  default     = false

  validation {
    condition     = var.accelerator || length(var.networks) == 1
    error_message = "Several regions need an accelerator."
  }
}

variable "active" {
  type        = set(string)
  description = "Regions that the accelerator sends requests to, where a task is healthy."

  validation {
    condition     = length(var.active) > 0
    error_message = "At least one region is active."
  }
}

variable "log_buckets" {
  type        = map(string)
  description = "Bucket in each region for the logs of requests; one that load balancers may write to. Default: none are kept."
  default     = {}
}

variable "deletion_protection" {
  type        = bool
  description = "Whether AWS refuses to delete the load balancers."
  default     = true
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
  default     = {}
}
