# The IdP on Cloud Run. It serves requests through the load balancer alone, and
# writes in the background: checkpoints, rotation of keys, retention. So its CPU
# is always allocated, and in one region at a time it runs at all.

resource "google_cloud_run_v2_service" "this" {
  count = var.serve ? 1 : 0

  project              = var.project
  name                 = var.name
  location             = var.region
  labels               = var.labels
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  invoker_iam_disabled = true # the IdP authenticates its callers itself
  deletion_protection  = var.deletion_protection

  # A standby has no instance until it is made the writer's region.
  dynamic "scaling" {
    for_each = var.standby ? [0] : []

    content {
      scaling_mode          = "MANUAL"
      manual_instance_count = scaling.value
    }
  }

  template {
    service_account                  = google_service_account.idp.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key                   = var.key
    timeout                          = "${var.request_timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY" # agents' key sets are fetched from public addresses

      network_interfaces {
        network    = var.network
        subnetwork = var.subnet
      }
    }

    containers {
      name  = "idp"
      image = var.image
      args  = ["serve"]

      ports {
        container_port = 8080
      }

      resources {
        cpu_idle          = false
        startup_cpu_boost = true
        limits            = { cpu = var.cpu, memory = var.memory }
      }

      # Cloud Run has no probe of readiness: an instance gets requests once store,
      # audit log and key can be used. 200 s, since a new instance may wait for its network.
      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 4
        failure_threshold = 40

        http_get {
          path = "/health"
          port = 8080
        }
      }

      # Asks nothing of the store: an outage of the database is no reason to restart.
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/health/live"
          port = 8080
        }
      }

      dynamic "env" {
        for_each = merge(local.settings, { AGENTIDP_MIGRATE = "false" })

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.secrets

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = var.secret_ids[env.value]
              version = lookup(var.versions, env.value, "1")
            }
          }
        }
      }

      dynamic "volume_mounts" {
        for_each = local.authorities

        content {
          name       = volume_mounts.value
          mount_path = "/etc/agentidp/${volume_mounts.value}"
        }
      }
    }

    # Reads /metrics of the admin port, which nobody outside of the instance can reach.
    containers {
      name       = "collector"
      image      = var.collector_image
      depends_on = ["idp"]

      resources {
        cpu_idle = false
        limits   = { cpu = "1", memory = "512Mi" }
      }

      volume_mounts {
        name       = "collector"
        mount_path = "/etc/rungmp"
      }
    }

    dynamic "volumes" {
      for_each = local.authorities

      content {
        name = volumes.value

        secret {
          secret = var.secret_ids[volumes.value]

          items {
            path    = "ca.pem"
            version = lookup(var.versions, volumes.value, "1")
          }
        }
      }
    }

    volumes {
      name = "collector"

      secret {
        secret = var.secret_ids["idp-collector"]

        items {
          path    = "config.yaml"
          version = lookup(var.versions, "idp-collector", "1")
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.idp]
}
