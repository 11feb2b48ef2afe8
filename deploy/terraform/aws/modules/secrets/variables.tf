variable "name" {
  type        = string
  description = "Alias of the keys, and first part of each secret's name. Names of clusters and of log groups must begin with it."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "home" {
  type        = string
  description = "Region that secrets are written in. It stays the same when the writer moves."

  validation {
    condition     = contains(var.regions, var.home)
    error_message = "Home is one of the regions."
  }
}

variable "regions" {
  type        = set(string)
  description = "Regions with a key of their own and a copy of each secret."

  validation {
    condition     = length(var.regions) > 0
    error_message = "At least one region is needed."
  }
}

variable "sidecar" {
  type        = bool
  description = "Whether there are sidecars here, which need a secret of their own."
  default     = false
}

variable "tags" {
  type        = map(string)
  description = "Tags of keys and secrets."
  default     = {}
}
