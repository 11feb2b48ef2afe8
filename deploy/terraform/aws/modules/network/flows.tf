# Who talked to whom: what was refused, or all of it.

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "write" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = [for group in aws_cloudwatch_log_group.flows : "${group.arn}:*"]
  }
}

resource "aws_cloudwatch_log_group" "flows" {
  for_each = var.networks

  region            = each.key
  name              = "/${var.name}/flows"
  retention_in_days = var.flow_log_days
  tags              = var.tags
}

resource "aws_iam_role" "flows" {
  name               = "${var.name}-flows"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "flows" {
  name   = "write"
  role   = aws_iam_role.flows.name
  policy = data.aws_iam_policy_document.write.json
}

resource "aws_flow_log" "this" {
  for_each = aws_vpc.this

  region                   = each.key
  vpc_id                   = each.value.id
  traffic_type             = var.flow_log_traffic
  log_destination_type     = "cloud-watch-logs"
  log_destination          = aws_cloudwatch_log_group.flows[each.key].arn
  iam_role_arn             = aws_iam_role.flows.arn
  max_aggregation_interval = 600
  tags                     = var.tags
}
