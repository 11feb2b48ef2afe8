# ECS reads secrets with the execution role and hands them to the one container that
# names them. What runs has the task role, which reads none and may write metrics.
# Who migrates reads the owner's URL, which who serves cannot: what owns a table can drop it.

data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [for secret in concat(values(local.secrets), ["database-ca"]) : var.secret_arns[secret]]
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [var.key]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "owner" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [for secret in concat(values(local.owner_secrets), ["database-ca"]) : var.secret_arns[secret]]
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [var.key]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "task" {
  statement {
    actions   = ["aps:RemoteWrite"]
    resources = [var.metrics.workspace_arn]
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "secrets"
  role   = aws_iam_role.execution.name
  policy = data.aws_iam_policy_document.execution.json
}

# Images and logs.
resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role" "owner" {
  name               = "${var.name}-owner"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "owner" {
  name   = "secrets"
  role   = aws_iam_role.owner.name
  policy = data.aws_iam_policy_document.owner.json
}

resource "aws_iam_role_policy_attachment" "owner" {
  role       = aws_iam_role.owner.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  name   = "metrics"
  role   = aws_iam_role.task.name
  policy = data.aws_iam_policy_document.task.json
}
