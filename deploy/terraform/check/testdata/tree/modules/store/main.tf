data "aws_region" "here" {}

data "aws_iam_policy_document" "key" {
  statement {
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [for role in aws_iam_role.reader : role.arn]
    }
  }
}

locals {
  name   = "${var.name}-${data.aws_region.here.region}"
  public = { for zone, subnet in var.subnets : zone => subnet if subnet.public }
}

resource "aws_iam_role" "reader" {
  for_each = var.subnets

  name = "${local.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Action = "sts:AssumeRole", Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

resource "aws_kms_key" "this" {
  description         = local.name
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.key.json
  tags                = merge(var.tags, { Name = local.name })
}

resource "random_password" "master" {
  length = 32
}

resource "aws_db_subnet_group" "this" {
  name       = local.name
  subnet_ids = values(var.subnets)[*].id
}

resource "aws_db_instance" "this" {
  count = 2

  identifier             = "${local.name}-${count.index}"
  instance_class         = "db.m7g.large"
  engine                 = "postgres"
  allocated_storage      = 100
  username               = "agentidp"
  password               = random_password.master.result
  kms_key_id             = aws_kms_key.this.arn
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]

  timeouts {
    create = "60m"
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [engine_version]

    precondition {
      condition     = length(var.subnets) > 1
      error_message = "Two zones at least."
    }
  }

  depends_on = [aws_kms_key.this]
}

resource "aws_security_group" "this" {
  name = local.name

  dynamic "ingress" {
    for_each = local.public
    iterator = zone
    content {
      description = zone.key
      from_port   = 5432
      to_port     = 5432
      protocol    = "tcp"
      cidr_blocks = [zone.value.cidr]
    }
  }
}

resource "aws_secretsmanager_secret" "admin" {
  provider = aws.replica

  name = "${local.name}-admin"
}

resource "aws_secretsmanager_secret_version" "admin" {
  provider = aws.replica

  secret_id     = aws_secretsmanager_secret.admin.id
  secret_string = var.admin_password
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = { for export in var.log_exports : export.name => export }

  name              = each.value.name
  retention_in_days = each.value.days
}

resource "aws_lb_target_group" "this" {
  name     = try(var.tags.group, local.name)
  port     = 8080
  protocol = "HTTP"

  health_check {
    path    = "/healthz"
    matcher = "200"
  }
}

resource "aws_ecs_task_definition" "this" {
  family                = local.name
  container_definitions = templatefile("${path.module}/task.json.tftpl", { image = "agentidp", secret = aws_secretsmanager_secret.admin.arn })
}
