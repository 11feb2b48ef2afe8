variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "Name of everything that is made here."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "hosts" {
  type        = list(string)
  description = "Host names of the certificate. Google issues it once they lead to the address."

  validation {
    condition     = length(var.hosts) > 0 && alltrue([for host in var.hosts : can(regex("^[a-z0-9.-]+$", host))])
    error_message = "At least one host name is needed, without a wildcard."
  }
}

variable "services" {
  type        = map(string)
  description = "Name of the Cloud Run service in each region."
}

variable "active" {
  type        = set(string)
  description = "Regions that get requests. For the IdP one: where the primary of the database is."

  validation {
    condition     = length(var.active) > 0
    error_message = "At least one region is active."
  }
}

variable "cdn" {
  type        = bool
  description = "Whether Google's edge keeps what the service calls public. True for the IdP, false for an API."
  default     = false
}

variable "log_sampling" {
  type        = number
  description = "Share of requests that the load balancer logs, 0 to 1."
  default     = 1

  validation {
    condition     = var.log_sampling >= 0 && var.log_sampling <= 1
    error_message = "The share is 0 to 1."
  }
}
