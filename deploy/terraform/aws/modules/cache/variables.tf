variable "name" {
  type        = string
  description = "Name of the replication group, and of its user."

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9]){2,30}$", var.name))
    error_message = "The name begins with a letter, has a-z, 0-9 and single dashes, and does not end with one."
  }
}

variable "region" {
  type        = string
  description = "Region where the IdP serves."
}

variable "network" {
  type = object({
    vpc_id = string
    stores = list(string)
  })
  description = "Network and subnets of the region."
}

variable "key" {
  type        = string
  description = "ARN of the key in the region."
}

variable "engine_version" {
  type        = string
  description = "Version of Valkey: 7.2, which is Redis 7.2 under another name, or later."
  default     = "7.2"

  validation {
    condition     = can(regex("^(7[.]2|[89][.][0-9]+)$", var.engine_version))
    error_message = "Valkey 7.2 or later is needed."
  }
}

variable "node_type" {
  type        = string
  description = "Machine of both nodes. Counters are small."
  default     = "cache.t4g.small"

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "A machine is named as cache.t4g.small."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of the nodes."
  default     = {}
}
