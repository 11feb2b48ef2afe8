variable "name" {
  description = "Prefix of every name."
  type        = string

  validation {
    condition     = length(var.name) <= 20
    error_message = "At most 20 characters."
  }
}

variable "subnets" {
  description = "Subnets by zone."
  type        = map(object({ id = string, cidr = string, public = optional(bool, false) }))
}

variable "log_exports" {
  description = "Where logs go, by name."
  type        = list(object({ name = string, days = number }))
  default     = []
}

variable "admin_password" {
  description = "Password of the first administrator."
  type        = string
  sensitive   = true
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
