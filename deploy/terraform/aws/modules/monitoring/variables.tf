variable "name" {
  type        = string
  description = "Name of the workspace, and first part of what alarms are called."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "region" {
  type        = string
  description = "Region that metrics of all regions are kept in, and rules evaluated. With several: not the writer's."
}

variable "regions" {
  type = map(object({
    database  = optional(string)
    replica   = optional(bool, false)
    cache     = optional(string)
    services  = optional(list(string), [])
    balancers = optional(map(string), {})
  }))
  description = "What to watch in each region: the database's instance and whether it is a replica, the cache's group, services (their clusters are called the same), load balancers as CloudWatch calls them."
}

variable "host" {
  type        = string
  description = "Host of the issuer, which is asked from outside every half minute."

  validation {
    condition     = can(regex("^[a-z0-9.-]+$", var.host))
    error_message = "The host is a name, without https:// before it."
  }
}

variable "watch" {
  type        = bool
  description = "Whether to ask the host already: false until the IdP serves."
  default     = true
}

variable "key" {
  type        = string
  description = "ARN of the key in the workspace's region."
}

variable "sidecar" {
  type        = bool
  description = "Whether there are sidecars here."
  default     = false
}

variable "emails" {
  type        = set(string)
  description = "Addresses that alerts go to. Other ways subscribe to the topics."

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "An address is written as somebody@example.com."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of alarms and topics."
  default     = {}
}
