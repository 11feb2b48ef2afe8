variable "name" {
  type        = string
  description = "First part of the name of everything."
  default     = "agentidp"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9]){2,9}$", var.name)) && length(var.name) <= 11
    error_message = "The name is 3 to 11 of a-z, 0-9 and single dashes, and begins with a letter."
  }
}

variable "stage" {
  type        = string
  description = "How far to go: stores, then schema (the jobs are there), serve (the IdP runs), sidecars (so does the API behind its sidecar)."
  default     = "stores"

  validation {
    condition     = contains(["stores", "schema", "serve", "sidecars"], var.stage)
    error_message = "The stage is stores, schema, serve or sidecars."
  }
}

variable "idp_host" {
  type        = string
  description = "Public host name of the IdP: the issuer is https:// and this."

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.idp_host))
    error_message = "The host is a name, as idp.example.com."
  }
}

variable "api_host" {
  type        = string
  description = "Public host name of the API."

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.api_host))
    error_message = "The host is a name, as notes.example.com."
  }
}

variable "idp_image" {
  type        = string
  description = "Image of the IdP, by digest."
}

variable "migration_image" {
  type        = string
  description = "Image that migrates, ahead of idp_image during an upgrade. Null: idp_image."
  default     = null
}

variable "sidecar_image" {
  type        = string
  description = "Image of the sidecar, by digest."
}

variable "bootstrap_client_id" {
  type        = string
  description = "Client id of the first administrator, as aidp_c_…"
}

variable "api" {
  type = object({
    image      = string
    port       = number
    command    = optional(list(string))
    args       = optional(list(string))
    env        = optional(map(string), {})
    cpu        = optional(number, 256)
    memory_mib = optional(number, 512)
    read_only  = optional(bool, true)
  })
  description = "The API's container, and the port that it listens at within the task."
}

variable "sidecar" {
  type = object({
    audience  = string
    client_id = string
  })
  description = "The resource that tokens for the API are for, and the client id of the sidecars' agent, as far as it is known: any text until the stage sidecars."
}

variable "secret_versions" {
  type        = map(string)
  description = "Id of the version of a secret, by its short name; default: the current one when a task starts. A new one is a new revision."
  default     = {}
}

variable "emails" {
  type        = set(string)
  description = "Addresses that alerts go to."
}

variable "region" {
  type        = string
  description = "Region of everything that has one."
  default     = "eu-west-1"
}

variable "backup_region" {
  type        = string
  description = "Region that backups of the database and copies of the secrets are kept in as well; one that RDS copies backups to from there."
  default     = "eu-central-1"

  validation {
    condition     = var.backup_region != var.region
    error_message = "Backups go to another region."
  }
}
