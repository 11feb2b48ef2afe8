# What runs in a task. `files` makes the disk ready, as root, and ends; then `idp` and
# the collector start; `ready` ends once the IdP can answer; then `up` starts, and with
# that the task is up and gets requests.

locals {
  hardened = {
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    ulimits                = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]
  }

  # Logs rather go missing than hold the IdP up; the audit log is not among them.
  logged = {
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "task"
        "mode"                  = "non-blocking"
        "max-buffer-size"       = "25m"
      }
    }
  }

  # Authorities of RDS as a file: Fargate mounts no secrets. The folder is the IdP's
  # own, which ECS would leave to root.
  files = merge(local.logged, {
    name                   = "files"
    image                  = var.tools_image
    essential              = false
    user                   = "0:0"
    readonlyRootFilesystem = true
    command                = ["sh", "-ec", "chown 65532:65532 /data; chmod 0700 /data; printf '%s\\n' \"$DATABASE_CA\" > /etc/agentidp/database-ca.pem"]
    secrets                = [{ name = "DATABASE_CA", valueFrom = local.references["database-ca"] }]
    mountPoints            = [{ sourceVolume = "files", containerPath = "/etc/agentidp", readOnly = false }, { sourceVolume = "data", containerPath = "/data", readOnly = false }]
  })

  mounts = {
    dependsOn   = [{ containerName = "files", condition = "SUCCESS" }]
    mountPoints = [{ sourceVolume = "files", containerPath = "/etc/agentidp", readOnly = true }, { sourceVolume = "data", containerPath = "/data", readOnly = false }]
  }

  idp = merge(local.hardened, local.logged, local.mounts, {
    name          = "idp"
    image         = var.image
    command       = ["serve"]
    essential     = true
    stopTimeout   = 60 # drain delay and drain timeout, and time for the last commit and checkpoint
    restartPolicy = { enabled = true, restartAttemptPeriod = 60 }
    portMappings  = [{ containerPort = 8080, protocol = "tcp" }]
    environment   = [for name, value in local.settings : { name = name, value = value }]
    secrets       = [for name, secret in local.secrets : { name = name, valueFrom = local.references[secret] }]
  })

  # ECS has no probe of readiness: a task is up once all its containers have started.
  # A revision that cannot serve never takes the place of one that can.
  ready = merge(local.hardened, local.logged, {
    name         = "ready"
    image        = var.tools_image
    essential    = false
    command      = ["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8080/health; do sleep 1; done"]
    startTimeout = 120
    dependsOn    = [{ containerName = "idp", condition = "START" }]
  })

  # Does nothing but to need `ready`: without it the task is not up, and when `ready`
  # gives up the task ends, since this one is essential.
  up = merge(local.hardened, local.logged, {
    name      = "up"
    image     = var.tools_image
    essential = true
    command   = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"]
    dependsOn = [{ containerName = "ready", condition = "SUCCESS" }]
  })

  # Reads /metrics of the admin port, which nobody outside of the task can reach.
  collector = merge(local.hardened, local.logged, {
    name          = "collector"
    image         = var.collector_image
    essential     = false
    cpu           = 128
    memory        = 256
    restartPolicy = { enabled = true, restartAttemptPeriod = 60 }
    environment   = [{ name = "AOT_CONFIG_CONTENT", value = local.collector_config }]
    dependsOn     = [{ containerName = "idp", condition = "START" }]
  })

  collector_config = yamlencode({
    extensions = { sigv4auth = { service = "aps", region = var.metrics.region } }
    receivers = {
      prometheus = {
        config = {
          scrape_configs = [{
            job_name        = "agentidp" # the rules know it by this name
            scrape_interval = "30s"
            static_configs  = [{ targets = ["127.0.0.1:8083"], labels = { service = var.name, region = var.region } }]
          }]
        }
      }
    }
    processors = {
      resourcedetection = { detectors = ["env", "ecs"] }
      resource          = { attributes = [{ key = "service.instance.id", from_attribute = "aws.ecs.task.arn", action = "upsert" }] } # the label instance
      batch             = {}
    }
    exporters = { prometheusremotewrite = { endpoint = var.metrics.endpoint, auth = { authenticator = "sigv4auth" } } }
    service = {
      extensions = ["sigv4auth"]
      pipelines  = { metrics = { receivers = ["prometheus"], processors = ["resourcedetection", "resource", "batch"], exporters = ["prometheusremotewrite"] } }
    }
  })
}

resource "aws_ecs_task_definition" "serve" {
  region                   = var.region
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(var.cpu)
  memory                   = tostring(var.memory_mib)
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode([local.files, local.idp, local.ready, local.up, local.collector])
  skip_destroy             = true # what a rollback goes back to
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "files"
  }

  volume {
    name = "data"
  }
}
