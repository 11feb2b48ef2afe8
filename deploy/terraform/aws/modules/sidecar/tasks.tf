# What runs in a task. `files` makes the disk ready, as root, and ends; then `api`,
# `sidecar` and the collector start; `ready` ends once requests can be decided; then
# `up` starts, and with that the task is up. ECS stops them the other way round: the
# API goes on until its sidecar has ended.

locals {
  hardened = {
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    ulimits                = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]
  }

  # Logs rather go missing than hold the sidecar up: the spool is the record.
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

  # The route table as a file; the folder is the sidecar's own, which ECS would leave to root.
  files = merge(local.logged, {
    name                   = "files"
    image                  = var.tools_image
    essential              = false
    user                   = "0:0"
    readonlyRootFilesystem = true
    command                = ["sh", "-ec", "chown 65532:65532 /data; chmod 0700 /data; printf '%s\\n' \"$ROUTES\" > /etc/agentidp-sidecar/routes.yaml"]
    environment            = [{ name = "ROUTES", value = var.routes }]
    mountPoints            = [{ sourceVolume = "files", containerPath = "/etc/agentidp-sidecar", readOnly = false }, { sourceVolume = "data", containerPath = "/data", readOnly = false }]
  })

  api = merge(
    local.logged,
    {
      name                   = "api"
      image                  = var.api.image
      essential              = true
      cpu                    = var.api.cpu
      memory                 = var.api.memory_mib
      stopTimeout            = 30
      readonlyRootFilesystem = var.api.read_only
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      environment            = [for name, value in var.api.env : { name = name, value = value }]
    },
    { for name, value in { entryPoint = var.api.command, command = var.api.args } : name => value if value != null },
  )

  # A sidecar that is killed starts again in the same task and ships what its spool has.
  sidecar = merge(local.hardened, local.logged, {
    name          = "sidecar"
    image         = var.image
    command       = ["serve"]
    essential     = true
    stopTimeout   = 60 # drain delay, requests under way, decisions shipped
    restartPolicy = { enabled = true, restartAttemptPeriod = 60 }
    portMappings  = [{ containerPort = 8081, protocol = "tcp" }]
    environment   = [for name, value in local.settings : { name = name, value = value }]
    secrets       = [{ name = "AGENTIDP_SIDECAR_CLIENT_SECRET", valueFrom = local.reference }]
    dependsOn     = [{ containerName = "files", condition = "SUCCESS" }, { containerName = "api", condition = "START" }]
    mountPoints   = [{ sourceVolume = "files", containerPath = "/etc/agentidp-sidecar", readOnly = true }, { sourceVolume = "data", containerPath = "/data", readOnly = false }]

    # Live, not ready: a sidecar without its IdP must not be restarted for that.
    healthCheck = { command = ["CMD", "/usr/local/bin/agentidp-sidecar", "health"], interval = 10, timeout = 5, retries = 3, startPeriod = 10 }
  })

  # ECS has no probe of readiness: a task is up once all its containers have started.
  # While the IdP is away no new task takes the place of one that still decides.
  ready = merge(local.hardened, local.logged, {
    name         = "ready"
    image        = var.tools_image
    essential    = false
    command      = ["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8082/ready; do sleep 1; done"]
    startTimeout = 120
    dependsOn    = [{ containerName = "sidecar", condition = "START" }]
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

  # Reads /metrics of the admin port.
  collector = merge(local.hardened, local.logged, {
    name          = "collector"
    image         = var.collector_image
    essential     = false
    cpu           = 128
    memory        = 256
    restartPolicy = { enabled = true, restartAttemptPeriod = 60 }
    environment   = [{ name = "AOT_CONFIG_CONTENT", value = local.collector_config }]
    dependsOn     = [{ containerName = "sidecar", condition = "START" }]
  })

  collector_config = yamlencode({
    extensions = { sigv4auth = { service = "aps", region = var.metrics.region } }
    receivers = {
      prometheus = {
        config = {
          scrape_configs = [{
            job_name        = "agentidp-sidecar" # the rules know it by this name
            scrape_interval = "30s"
            static_configs  = [{ targets = ["127.0.0.1:8082"], labels = { service = var.name, region = var.region } }]
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

resource "aws_ecs_task_definition" "this" {
  region                   = var.region
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(var.cpu)
  memory                   = tostring(var.memory_mib)
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode([local.files, local.api, local.sidecar, local.ready, local.up, local.collector])
  skip_destroy             = true # what a rollback goes back to
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  # Images take some of it; the spool has its own share for sure.
  ephemeral_storage {
    size_in_gib = 21 + ceil(var.spool_mib / 1024)
  }

  volume {
    name = "files"
  }

  volume {
    name = "data"
  }
}
