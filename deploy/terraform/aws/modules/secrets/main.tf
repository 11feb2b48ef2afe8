# Empty secrets: Terraform makes the places, people put the values into them, in the
# region `home`; the other regions hold copies. None is ever in the state.

locals {
  names         = toset(["master-key", "pepper", "bootstrap-client-secret", "database-url", "owner-database-url", "redis-url", "database-ca"])
  sidecar_names = var.sidecar ? toset(["sidecar-client-secret"]) : toset([])
}

# A slash: a name that ends with a dash and six letters looks like an ARN's ending.
resource "aws_secretsmanager_secret" "this" {
  for_each = setunion(local.names, local.sidecar_names)

  region                  = var.home
  name                    = "${var.name}/${each.key}"
  kms_key_id              = aws_kms_key.this[var.home].arn
  recovery_window_in_days = 30
  tags                    = var.tags

  dynamic "replica" {
    for_each = setsubtract(var.regions, [var.home])

    content {
      region     = replica.value
      kms_key_id = aws_kms_key.this[replica.value].arn
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}
