variable "name" {
  type        = string
  description = "Name of the networks, and first part of what belongs to them."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "networks" {
  type        = map(string)
  description = "Range of the network in each region, a /20. They may overlap, since they are not connected; better they do not."

  validation {
    condition     = length(var.networks) > 0 && alltrue([for cidr in values(var.networks) : can(cidrhost(cidr, 0)) && endswith(cidr, "/20")])
    error_message = "Each network is a range of /20."
  }
}

variable "zones" {
  type        = number
  description = "Availability zones in each region. Database, cache and load balancer need two; each has a NAT gateway."
  default     = 2

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "There are 2 or 3 zones."
  }
}

variable "flow_log_traffic" {
  type        = string
  description = "Which flows are logged: REJECT, ACCEPT or ALL."
  default     = "REJECT"

  validation {
    condition     = contains(["REJECT", "ACCEPT", "ALL"], var.flow_log_traffic)
    error_message = "The traffic is REJECT, ACCEPT or ALL."
  }
}

variable "flow_log_days" {
  type        = number
  description = "How long flows are kept, in days."
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.flow_log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
  default     = {}
}
