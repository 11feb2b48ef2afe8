# Tasks that people start: `aws ecs run-task`. The first brings the schema up to date
# as the role that owns the tables; the second declares a restore, with a replica's settings.

locals {
  migrate = merge(local.hardened, local.logged, local.mounts, {
    name        = "migrate"
    image       = coalesce(var.migration_image, var.image)
    command     = ["migrate", "up"]
    essential   = true
    environment = [{ name = "PGHOST", value = var.database.host }]
    secrets     = [for name, secret in local.owner_secrets : { name = name, valueFrom = local.references[secret] }]
  })

  declare = merge(local.hardened, local.logged, local.mounts, {
    name        = "declare"
    image       = var.image
    command     = ["restore", "--declare"]
    essential   = true
    environment = local.idp.environment
    secrets     = local.idp.secrets
  })
}

resource "aws_ecs_task_definition" "migrate" {
  region                   = var.region
  family                   = "${var.name}-migrate"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "512"
  memory                   = "1024"
  execution_role_arn       = aws_iam_role.owner.arn
  container_definitions    = jsonencode([local.files, local.migrate])
  skip_destroy             = true
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

  depends_on = [aws_iam_role_policy.owner, aws_iam_role_policy_attachment.owner]
}

resource "aws_ecs_task_definition" "declare" {
  region                   = var.region
  family                   = "${var.name}-declare"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "1024"
  memory                   = "2048"
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode([local.files, local.declare])
  skip_destroy             = true
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

  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy_attachment.execution]
}
