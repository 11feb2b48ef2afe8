variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "Name of the network, and first part of what belongs to it."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "subnets" {
  type        = map(string)
  description = "Range of the subnet in each region. An instance of Cloud Run takes up to two addresses, and twice as many during a deployment."

  validation {
    condition     = length(var.subnets) > 0 && alltrue([for cidr in values(var.subnets) : can(cidrhost(cidr, 0)) && can(regex("/(1[6-9]|2[0-6])$", cidr))])
    error_message = "Each subnet is a range of /16 to /26."
  }
}

variable "services_prefix_length" {
  type        = number
  description = "Size of the range for Cloud SQL and Memorystore; each region takes a /24 of it for either."
  default     = 20

  validation {
    condition     = var.services_prefix_length >= 16 && var.services_prefix_length <= 21
    error_message = "The range is /16 to /21."
  }
}

variable "flow_sampling" {
  type        = number
  description = "Share of flows that is logged, 0 to 1."
  default     = 0.1

  validation {
    condition     = var.flow_sampling >= 0 && var.flow_sampling <= 1
    error_message = "The share is 0 to 1."
  }
}
