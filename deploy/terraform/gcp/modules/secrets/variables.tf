variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "Name of the key rings, and first part of each secret's."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "regions" {
  type        = set(string)
  description = "Regions that secrets are kept in, each with a key of its own."

  validation {
    condition     = length(var.regions) > 0
    error_message = "At least one region is needed."
  }
}

variable "protection_level" {
  type        = string
  description = "Where the keys are: SOFTWARE, or HSM."
  default     = "SOFTWARE"

  validation {
    condition     = contains(["SOFTWARE", "HSM"], var.protection_level)
    error_message = "The protection level is SOFTWARE or HSM."
  }
}

variable "sidecar" {
  type        = bool
  description = "Whether there are sidecars here, which need secrets of their own."
  default     = false
}

variable "labels" {
  type        = map(string)
  description = "Labels of keys and secrets."
  default     = {}
}
