# A key in each region, for what is kept there. The IdP itself does not ask KMS: its
# master key encrypts the signing keys, and this key the master key.

data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "key" {
  for_each = var.regions

  # Who may use it is then said by IAM.
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.this.account_id}:root"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${each.value}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${each.value}:${data.aws_caller_identity.this.account_id}:log-group:/${var.name}*"]
    }
  }

  # Disks of tasks, a sidecar's spool among them.
  statement {
    sid       = "FargateDataKey"
    actions   = ["kms:GenerateDataKeyWithoutPlaintext"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["fargate.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:ecs:clusterAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:aws:ecs:clusterName"
      values   = ["${var.name}-*"]
    }
  }

  statement {
    sid       = "FargateGrant"
    actions   = ["kms:CreateGrant"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["fargate.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:ecs:clusterAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:aws:ecs:clusterName"
      values   = ["${var.name}-*"]
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "kms:GrantOperations"
      values   = ["Decrypt"]
    }
  }
}

resource "aws_kms_key" "this" {
  for_each = var.regions

  region                  = each.value
  description             = "${var.name}: stores, secrets, logs and disks of tasks"
  policy                  = data.aws_iam_policy_document.key[each.value].json
  enable_key_rotation     = true
  rotation_period_in_days = 90
  deletion_window_in_days = 30
  tags                    = var.tags

  # Without it database, backups and secrets are of no use.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  for_each = aws_kms_key.this

  region        = each.key
  name          = "alias/${var.name}"
  target_key_id = each.value.key_id
}
