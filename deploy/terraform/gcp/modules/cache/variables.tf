variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "name" {
  type        = string
  description = "Name of the instance."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}$", var.name))
    error_message = "The name is 3 to 39 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "region" {
  type        = string
  description = "Region where the IdP serves."
}

variable "network" {
  type        = string
  description = "Id of the network, peered with Google's services."
}

variable "services_range" {
  type        = string
  description = "Name of the range that the instance's address is taken from."
}

variable "key" {
  type        = string
  description = "Id of the key (CMEK) in the region."
}

variable "url_secret_id" {
  type        = string
  description = "Id of the secret that gets REDIS_URL."
}

variable "ca_secret_id" {
  type        = string
  description = "Id of the secret that gets the instance's authorities."
}

variable "engine" {
  type        = string
  description = "Version of Redis: 7 or later."
  default     = "REDIS_7_2"

  validation {
    condition     = can(regex("^REDIS_(7|8)_", var.engine))
    error_message = "Redis 7 or later is needed, as REDIS_7_2."
  }
}

variable "memory_gb" {
  type        = number
  description = "Memory. Counters are small."
  default     = 1

  validation {
    condition     = var.memory_gb >= 1 && var.memory_gb <= 300
    error_message = "The memory is 1 to 300 GB."
  }
}

variable "labels" {
  type        = map(string)
  description = "Labels of the instance."
  default     = {}
}
