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
  description = "Image of the IdP, by digest. Its repository in ECR is replicated to all regions."
}

variable "migration_image" {
  type        = string
  description = "Image that migrates, ahead of idp_image during an upgrade. Null: idp_image."
  default     = null
}

variable "sidecar_image" {
  type        = string
  description = "Image of the sidecar, by digest, replicated as well."
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

variable "regions" {
  type = map(object({
    short      = string
    cidr       = string
    generation = optional(number, 1)
  }))
  description = "Each region, with a short word for names, the range of its network, and a number that its database's instance is counted by: raise it when that has to be made anew."

  default = {
    us-east-2      = { short = "us", cidr = "10.64.0.0/20" }
    eu-west-1      = { short = "eu", cidr = "10.64.16.0/20" }
    ap-northeast-1 = { short = "apac", cidr = "10.64.32.0/20" }
  }

  validation {
    condition     = length(var.regions) >= 2 && alltrue([for of in values(var.regions) : can(regex("^[a-z][a-z0-9]{0,3}$", of.short)) && of.generation >= 1])
    error_message = "Two regions or more; a short word has 1 to 4 letters, and a generation is 1 or more."
  }

  validation {
    condition     = length(distinct([for of in values(var.regions) : of.short])) == length(var.regions)
    error_message = "Two regions have the same short word."
  }
}

variable "writer" {
  type        = string
  description = "Region of the primary of the database, where the IdP serves. A failover changes it: see the README."
  default     = "us-east-2"

  validation {
    condition     = contains(keys(var.regions), var.writer)
    error_message = "The writer is one of the regions."
  }
}

variable "home" {
  type        = string
  description = "Region that secrets are written in; the others have copies. It stays when the writer moves."
  default     = "us-east-2"

  validation {
    condition     = contains(keys(var.regions), var.home)
    error_message = "The home of secrets is one of the regions."
  }
}

variable "monitoring_region" {
  type        = string
  description = "Region that metrics are kept in and rules evaluated: not the writer's, or it goes dark with it."
  default     = "eu-west-1"

  validation {
    condition     = contains(keys(var.regions), var.monitoring_region)
    error_message = "The region of monitoring is one of the regions."
  }
}

variable "api_regions" {
  type        = list(string)
  description = "Regions that get the API's requests. Null: all; leave one out to take it out of service."
  default     = null
}

variable "replica_multi_az" {
  type        = bool
  description = "Whether replicas are in two zones before they are promoted, at twice the price."
  default     = false
}
