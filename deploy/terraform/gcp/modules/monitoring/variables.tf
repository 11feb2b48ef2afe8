variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "First part of the names of databases and services, and of what alerts are called."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name is 3 to 31 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "host" {
  type        = string
  description = "Host of the issuer, which is asked from outside once a minute."

  validation {
    condition     = can(regex("^[a-z0-9.-]+$", var.host))
    error_message = "The host is a name, without https:// before it."
  }
}

variable "secret_ids" {
  type        = map(string)
  description = "Id of each secret, by its short name: idp-collector and, with sidecars, sidecar-collector."
}

variable "sidecar" {
  type        = bool
  description = "Whether there are sidecars here."
  default     = false
}

variable "notification_channels" {
  type        = list(string)
  description = "Ids of the channels that alerts go to (projects/…/notificationChannels/…)."

  validation {
    condition     = alltrue([for id in var.notification_channels : startswith(id, "projects/")])
    error_message = "A channel is named as projects/PROJECT/notificationChannels/ID."
  }
}

variable "labels" {
  type        = map(string)
  description = "Labels of alerts."
  default     = {}
}
