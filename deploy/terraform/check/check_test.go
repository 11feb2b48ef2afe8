package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// copied is testdata/tree with one text replaced.
func copied(t *testing.T, file, before, after string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.CopyFS(root, os.DirFS("testdata/tree")))
	path := filepath.Join(root, file)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(raw), before), "%q in %s", before, file)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(raw), before, after, 1)), 0o600))
	return root
}

func found(t *testing.T, root string) []string {
	t.Helper()
	known, err := schema.Read(filepath.Join(root, "facts"))
	require.NoError(t, err)
	list, _, err := check(root, known)
	require.NoError(t, err)
	lines := []string{}
	for _, f := range list {
		lines = append(lines, f.String())
	}
	return lines
}

func TestFixtureHasNothing(t *testing.T) {
	require.Empty(t, found(t, "testdata/tree"))
}

const (
	store     = "modules/store/main.tf"
	variables = "modules/store/variables.tf"
	outputs   = "modules/store/outputs.tf"
	versions  = "modules/store/versions.tf"
	example   = "example/main.tf"
)

// Each line breaks the fixture once, and has the finding that must be said first.
func TestFindings(t *testing.T) {
	for _, c := range []struct{ file, before, after, want string }{
		{store, `locals {`, `locals {{`, "modules/store/main.tf:15:9: syntax: Argument or block definition required"},
		{store, "  enable_key_rotation = true", " enable_key_rotation = true", "modules/store/main.tf:32:1: format: "},
		{store, "retention_in_days = each.value.days", "retention_in_days = \"${each.value.days}\"", "modules/store/main.tf:109:23: format: "},
		{store, "locals {", "local {", "modules/store/main.tf:15:1: block: local with 0 labels"},
		{store, `data "aws_region" "here" {}`, "data \"aws_region\" \"here\" {}\ndata \"aws_region\" \"here\" {}", "modules/store/main.tf:2:1: duplicate: data.aws_region.here is declared twice"},

		{store, `"${local.name}-${each.key}"`, `"${local.nam}-${each.key}"`, "modules/store/main.tf:23:13: local: local.nam is not declared"},
		{store, "secret_string = var.admin_password", "secret_string = var.password", "modules/store/main.tf:102:19: variable: var.password is not declared"},
		{store, "= data.aws_iam_policy_document.key.json", "= data.aws_iam_policy_document.keys.json", "modules/store/main.tf:33:25: reference: data.aws_iam_policy_document.keys is not declared"},
		{store, "policy_document.key.json", "policy_document.key.text", "modules/store/main.tf:33:25: attribute: data.aws_iam_policy_document.key has no attribute text"},
		{store, "= aws_kms_key.this.arn", "= aws_kms_key.that.arn", "modules/store/main.tf:55:28: reference: aws_kms_key.that is not declared"},
		{store, "depends_on = [aws_kms_key.this]", "depends_on = [aws_kms_key.that]", "modules/store/main.tf:73:17: reference: aws_kms_key.that is not declared"},
		{store, "try(var.tags.group, local.name)", "try(aws_kms_key.this.nothing, local.name)", "modules/store/main.tf:113:18: attribute: aws_kms_key.this has no attribute nothing"},
		{store, "try(var.tags.group, local.name)", "try(trimmed(local.name), local.name)", "modules/store/main.tf:113:18: function: trimmed is not a function"},
		{store, "role.arn]", "role.arm]", "modules/store/main.tf:10:60: expression: Unsupported attribute"},
		{store, "if subnet.public }", "if subnet.publik }", "modules/store/main.tf:17:72: expression: Unsupported attribute"},
		{store, "[zone.value.cidr]", "[zone.value.net]", "modules/store/main.tf:87:32: expression: Unsupported attribute"},
		{store, "= zone.key", "= ingress.key", "modules/store/main.tf:83:21: reference: ingress.key is not declared"},
		{store, "= each.value.days", "= each.value.day", "modules/store/main.tf:109:33: expression: Unsupported attribute"},
		{store, "values(var.subnets)[*].id", "values(var.subnets)[*].ids", "modules/store/main.tf:43:38: expression: Unsupported attribute"},
		{store, "  description         = local.name", "  description         = each.key", "modules/store/main.tf:31:25: reference: each is not known here"},
		{store, "${path.module}", "${path.modules}", "modules/store/main.tf:125:43: reference: path.modules does not exist"},
		{store, "task.json.tftpl", "tasks.json.tftpl", "modules/store/main.tf:125:43: expression: Invalid function argument"},
		{store, `image = "agentidp", `, ``, "modules/store/main.tf:125:74: expression: Invalid function argument"},
		{store, "  for_each = var.subnets\n\n", "  count = 2\n\n", "modules/store/main.tf:23:27: reference: each is not known here"},
		{store, "for_each = { for export in var.log_exports : export.name => export }", "for_each = var.log_exports", "modules/store/main.tf:106:14: type: for_each wants a map or a set of strings"},
		{store, `  public = {`, `  never  = "0"` + "\n  public = {", "modules/store/main.tf:17:3: unused: local.never"},
		{store, `  name   = "${var.name}-`, `  name   = "${local.public.a}-`, "modules/store/variables.tf:1:1: unused: var.name"},
		{store, `public = { for`, `public = local.public.a == null ? {} : { for`, "modules/store/main.tf:17:3: cycle: local.public is made of itself"},

		{store, `resource "aws_kms_key" "this"`, `resource "aws_kms_keys" "this"`, "modules/store/main.tf:30:1: type: no facts of aws_kms_keys.this"},
		{store, "  instance_class         = \"db.m7g.large\"\n", "", "modules/store/main.tf:46:35: required: aws_db_instance.this has no instance_class"},
		{store, "= \"db.m7g.large\"", "= null", "modules/store/main.tf:50:28: required: instance_class may not be null"},
		{store, "  allocated_storage ", "  allocated_storages", "modules/store/main.tf:52:3: argument: aws_db_instance.this has no argument allocated_storages"},
		{store, "  allocated_storage      = 100", "  allocated_storage      = \"much\"", "modules/store/main.tf:52:28: type: string where number is wanted"},
		{store, "= [aws_security_group.this.id]", "= aws_security_group.this.id", "modules/store/main.tf:57:28: type: string where set of string is wanted"},
		{store, "  username ", "  endpoint ", "modules/store/main.tf:53:3: argument: endpoint of aws_db_instance.this is only read"},
		{store, "    create = \"60m\"", "    crate  = \"60m\"", "modules/store/main.tf:60:5: argument: aws_db_instance.this.timeouts has no argument crate"},
		{store, "  timeouts {", "  timeout {", "modules/store/main.tf:59:3: block: aws_db_instance.this has no block timeout"},
		{store, "  timeouts {", "  timeouts = {", "modules/store/main.tf:59:3: block: timeouts of aws_db_instance.this is a block, not an argument"},
		{store, "  tags                = merge(var.tags, { Name = local.name })", "  tags {\n  }", "modules/store/main.tf:34:3: block: tags of aws_kms_key.this is an argument, not a block"},
		{store, "  health_check {", "  health_check {\n  }\n\n  health_check {", "modules/store/main.tf:112:39: block: aws_lb_target_group.this has 2 blocks health_check"},
		{store, `dynamic "ingress"`, `dynamic "ingres"`, "modules/store/main.tf:82:5: block: aws_security_group.this has no block ingres"},
		{store, "      protocol    = \"tcp\"\n", "      protokol    = \"tcp\"\n", "modules/store/main.tf:86:7: argument: aws_security_group.this.ingress has no argument protokol"},
		{store, "      type        = \"AWS\"\n", "", "modules/store/main.tf:8:16: required: data.aws_iam_policy_document.key.statement.principals has no type"},
		{store, "[engine_version]", "[engine_versions]", "modules/store/main.tf:65:24: attribute: aws_db_instance.this has no attribute engine_versions"},
		{store, "    prevent_destroy = true", "    prevents_destroy = true", "modules/store/main.tf:64:5: argument: aws_db_instance.this.lifecycle has no argument prevents_destroy"},
		{store, "    precondition {", "    conditions {", "modules/store/main.tf:67:5: block: aws_db_instance.this.lifecycle has no block conditions"},
		{store, "  lifecycle {", "  provisioner \"local-exec\" {\n  }\n\n  lifecycle {", "modules/store/main.tf:63:3: block: aws_db_instance.this has no block provisioner"},
		{store, "  username ", "  count    ", "modules/store/main.tf:53:3: syntax: Attribute redefined"},

		{store, "= random_password.master.result", "= \"correct-horse\"", "modules/store/main.tf:54:28: secret: password is written here"},
		{store, "\"kms:Decrypt\"", "\"AKIAABCDEFGHIJKLMNOP\"", "modules/store/main.tf:5:19: secret: this looks like a secret"},
		{variables, "  type        = string\n  sensitive   = true", "  type        = string\n  sensitive   = true\n  default     = \"let-me-in\"", "modules/store/variables.tf:26:17: secret: default is written here"},
		{variables, "  sensitive   = true\n", "", "modules/store/variables.tf:22:1: sensitive: variable admin_password is not sensitive"},
		{variables, "  description = \"Tags of everything.\"\n", "", "modules/store/variables.tf:28:17: required: variable tags has no description"},
		{variables, "  description = \"Tags of everything.\"", "  description = \"\"", "modules/store/variables.tf:29:17: description: variable tags is not described"},
		{variables, "  type        = map(string)\n", "", "modules/store/variables.tf:28:1: required: variable tags has no type"},
		{variables, "  default     = {}", "  default     = []", "modules/store/variables.tf:31:17: type: "},
		{variables, "variable \"tags\"", "variable \"labels\"", "modules/store/main.tf:34:31: variable: var.tags is not declared"},
		{variables, "variable \"tags\"", "variable \"idle\" {\n  description = \"-\"\n  type        = string\n  default     = \"\"\n}\n\nvariable \"tags\"", "modules/store/variables.tf:28:1: unused: var.idle"},
		{variables, "length(var.name)", "length(local.name)", "modules/store/variables.tf:6:28: "},
		{outputs, "  description = \"Key that data is encrypted with.\"\n", "", "modules/store/outputs.tf:6:14: required: output key has no description"},
		{outputs, "  sensitive   = true\n", "", "modules/store/outputs.tf:11:1: sensitive: output master_password is not sensitive"},
		{outputs, "this[*].address", "this.address", "modules/store/outputs.tf:3:37: expression: Unsupported attribute"},
		{outputs, "output \"addresses\"", "output \"hosts\"", "example/main.tf:51:17: output: module.store has no output addresses"},

		{example, "  name           = ", "  names          = ", "example/main.tf:33:1: input: module store wants name"},
		{example, "  admin_password = var.admin_password\n", "", "example/main.tf:27:1: unused: var.admin_password"},
		{example, "  admin_password = var.admin_password", "  admin_password = \"let-me-in\"", "example/main.tf:37:20: secret: admin_password is written here"},
		{example, "id = \"subnet-1\", ", "", "example/main.tf:38:13: type: "},
		{example, "\"../modules/store\"", "\"../modules/stores\"", "example/main.tf:34:12: module: there is no module at this path"},
		{example, "module.store.addresses", "module.stores.addresses", "example/main.tf:51:17: module: module.stores is not called"},
		{example, "    aws.replica = aws.us\n", "", "example/main.tf:33:1: provider: module store wants the provider aws.replica"},
		{example, "aws.us\n", "aws.eu\n", "example/main.tf:45:19: provider: the provider aws.eu is not declared"},
		{example, "    aws.replica =", "    aws.replika =", "example/main.tf:45:5: provider: module store does not take a provider aws.replika"},
		{example, "  default_tags {", "  default_tag {", "example/main.tf:17:3: block: provider aws has no block default_tag"},
		{"example/terraform.tfvars.example", "admin_password", "password", "example/terraform.tfvars.example:1:1: input: example has no variable password"},
		{store, "  provider = aws.replica\n\n  name = ", "  provider = aws.replika\n\n  name = ", "modules/store/main.tf:93:14: provider: the provider aws.replika is not declared"},

		{versions, "  required_version = \">= 1.8, < 2.0\"\n\n", "", "modules/store/main.tf:1:1: pin: no required_version in this folder"},
		{versions, "\"~> 6.20\"", "\">= 6.20\"", "modules/store/versions.tf:5:5: pin: the version \">= 6.20\" has no end"},
		{versions, "\"~> 6.20\"", "\"~> 5.20\"", "modules/store/versions.tf:5:5: pin: aws ~> 5.20 excludes 6.25.0"},
		{versions, "\"hashicorp/random\"", "\"hashicop/random\"", "modules/store/versions.tf:10:5: pin: the source of random is hashicorp/random"},
		{versions, "    random = {", "    null = {", "modules/store/main.tf:37:1: pin: required_providers has no random"},
	} {
		t.Run(c.want, func(t *testing.T) {
			lines := found(t, copied(t, c.file, c.before, c.after))
			for _, line := range lines {
				if strings.HasPrefix(line, c.want) {
					return
				}
			}
			require.Fail(t, "not found", "%q for %q\n%s", c.after, c.before, strings.Join(lines, "\n"))
		})
	}
}

// top is the folder of the modules.
const top = ".."

func TestModulesHaveNothing(t *testing.T) {
	require.Empty(t, found(t, top))
}

// A type that no module uses has no facts: they are as small as they can be.
func TestFactsAreOfWhatIsUsed(t *testing.T) {
	known, err := schema.Read(filepath.Join(top, "facts"))
	require.NoError(t, err)
	used, err := usedTypes(top)
	require.NoError(t, err)
	delete(used, "terraform") // built in
	require.ElementsMatch(t, sortedKeys(used), sortedKeys(known))
	for name, f := range known {
		require.ElementsMatch(t, sortedKeys(used[name].Resources), sortedKeys(f.Resources), name)
		require.ElementsMatch(t, sortedKeys(used[name].Data), sortedKeys(f.Data), name)
		require.NotEmpty(t, f.Version, name)
	}
}
