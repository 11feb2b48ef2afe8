# Where alerts go to. An alarm reaches topics of its own region only; that of the
# health check is in us-east-1, whichever regions there are.

data "aws_caller_identity" "this" {}

locals {
  topics = setunion(keys(var.regions), [var.region, "us-east-1"])
  subscriptions = {
    for pair in setproduct(local.topics, var.emails) : "${pair[0]}/${pair[1]}" => { region = pair[0], email = pair[1] }
  }
}

# Not encrypted with a key of yours: it says that something is wrong, and no secret.
resource "aws_sns_topic" "this" {
  for_each = local.topics

  region = each.value
  name   = "${var.name}-alerts"
  tags   = var.tags
}

data "aws_iam_policy_document" "publish" {
  for_each = local.topics

  statement {
    actions   = ["sns:Publish", "sns:GetTopicAttributes"]
    resources = [aws_sns_topic.this[each.value].arn]

    principals {
      type        = "Service"
      identifiers = ["aps.amazonaws.com", "cloudwatch.amazonaws.com", "events.rds.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  for_each = local.topics

  region = each.value
  arn    = aws_sns_topic.this[each.value].arn
  policy = data.aws_iam_policy_document.publish[each.value].json
}

# Each address is asked by mail whether it agrees.
resource "aws_sns_topic_subscription" "this" {
  for_each = local.subscriptions

  region    = each.value.region
  topic_arn = aws_sns_topic.this[each.value.region].arn
  protocol  = "email"
  endpoint  = each.value.email
}
