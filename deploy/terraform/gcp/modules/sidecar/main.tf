# An API behind its sidecar: one instance of Cloud Run holds both, and only the
# sidecar's port is open. The API's can be reached from within the instance alone.

locals {
  mebibyte = 1048576

  settings = merge(
    {
      AGENTIDP_SIDECAR_NAME            = var.name
      AGENTIDP_SIDECAR_ROUTES          = "/etc/agentidp-sidecar/routes.yaml"
      AGENTIDP_SIDECAR_UPSTREAM        = "http://127.0.0.1:${var.api.port}"
      AGENTIDP_SIDECAR_ISSUER          = var.issuer
      AGENTIDP_SIDECAR_AUDIENCE        = var.audience
      AGENTIDP_SIDECAR_CLIENT_ID       = var.client_id
      AGENTIDP_SIDECAR_TRUSTED_PROXIES = join(",", var.trusted_proxies)

      # The disk is memory, and ends with the instance: a small spool, and no request
      # when it is full. Allowed requests are logged too, as a second record.
      AGENTIDP_SIDECAR_SPOOL_WHEN_FULL = "block"
      AGENTIDP_SIDECAR_SPOOL_MAX_BYTES = tostring(var.spool_mib * local.mebibyte)
      AGENTIDP_SIDECAR_LOG_LEVEL       = var.log_allowed ? "debug" : "info"

      # Killed ten seconds after SIGTERM: three for requests, five to ship decisions.
      AGENTIDP_SIDECAR_DRAIN_DELAY   = "0s"
      AGENTIDP_SIDECAR_DRAIN_TIMEOUT = "3s"
    },
    var.settings,
  )
}

resource "google_cloud_run_v2_service" "this" {
  project              = var.project
  name                 = var.name
  location             = var.region
  labels               = var.labels
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  invoker_iam_disabled = true # the sidecar judges its callers itself
  deletion_protection  = var.deletion_protection

  template {
    service_account                  = google_service_account.this.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key                   = var.key
    timeout                          = "${var.request_timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      name       = "sidecar"
      image      = var.image
      args       = ["serve"]
      depends_on = ["api"]

      ports {
        container_port = 8081
      }

      # Always allocated: it follows the feed and ships decisions between requests.
      resources {
        cpu_idle          = false
        startup_cpu_boost = true
        limits            = { cpu = var.cpu, memory = "${var.memory_mib}Mi" }
      }

      # Requests come once they can be decided: keys, revocations, policy, routes.
      startup_probe {
        period_seconds    = 3
        timeout_seconds   = 2
        failure_threshold = 60

        http_get {
          path = "/ready"
          port = 8082
        }
      }

      # Live, not ready: a sidecar without its IdP must not be restarted for that.
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/health"
          port = 8082
        }
      }

      dynamic "env" {
        for_each = local.settings

        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "AGENTIDP_SIDECAR_CLIENT_SECRET"

        value_source {
          secret_key_ref {
            secret  = var.secret_ids["sidecar-client-secret"]
            version = lookup(var.versions, "sidecar-client-secret", "1")
          }
        }
      }

      volume_mounts {
        name       = "routes"
        mount_path = "/etc/agentidp-sidecar"
      }
    }

    containers {
      name    = "api"
      image   = var.api.image
      command = var.api.command
      args    = var.api.args

      resources {
        cpu_idle = false
        limits   = { cpu = var.api.cpu, memory = var.api.memory }
      }

      startup_probe {
        period_seconds    = 3
        timeout_seconds   = 2
        failure_threshold = 60

        tcp_socket {
          port = var.api.port
        }
      }

      dynamic "env" {
        for_each = var.api.env

        content {
          name  = env.key
          value = env.value
        }
      }
    }

    containers {
      name       = "collector"
      image      = var.collector_image
      depends_on = ["sidecar"]

      resources {
        cpu_idle = false
        limits   = { cpu = "1", memory = "512Mi" }
      }

      volume_mounts {
        name       = "collector"
        mount_path = "/etc/rungmp"
      }
    }

    volumes {
      name = "routes"

      secret {
        secret = google_secret_manager_secret.routes.id

        items {
          path    = "routes.yaml"
          version = google_secret_manager_secret_version.routes.version
        }
      }
    }

    volumes {
      name = "collector"

      secret {
        secret = var.secret_ids["sidecar-collector"]

        items {
          path    = "config.yaml"
          version = lookup(var.versions, "sidecar-collector", "1")
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.memory_mib >= 384 + var.spool_mib
      error_message = "The spool is in memory: give the sidecar 384 MiB more than that."
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.this, google_secret_manager_secret_iam_member.routes]
}
