package main

import (
	"regexp"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

var (
	secretWord = regexp.MustCompile(`password|passphrase|secret|token|private_key`)
	// aboutSecret are endings of names that lead to a secret, or say something of one.
	aboutSecret = regexp.MustCompile(`_(arns?|names?|ids?|ttl|versions?|paths?|prefix|file|seconds|minutes|hours|days|url|audience|replicas?|regions?|enabled)$`)
	// secretText is what secrets look like, and a URL with a
	// password in it; PASSWORD stands for one.
	secretText = regexp.MustCompile(`AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[0-9A-Za-z]{30}|\bsk_live_|://[^/\s:@]+:[^/\s:@]*[a-z0-9][^/\s:@]*@`)
	secretEnv  = regexp.MustCompile(`(?i)(PASSWORD|SECRET|TOKEN|PRIVATE_KEY)$`)
)

func secretName(name string) bool {
	return secretWord.MatchString(name) && !aboutSecret.MatchString(name)
}

// secret holds an argument that takes a secret: the text is not in the file.
func (p place) secret(attribute *hclsyntax.Attribute) {
	if schema.Secret(attribute.Name) {
		p.noLiteral(attribute)
	}
}

func (p place) noLiteral(attribute *hclsyntax.Attribute) {
	if constantText(attribute.Expr) {
		p.found.add(attribute.Expr.Range(), "secret", "%s is written here", attribute.Name)
	}
}

func constantText(expression hclsyntax.Expression) bool {
	return len(expression.Variables()) == 0 && literal(expression) != ""
}

// literals looks for secrets in the text of an expression, and for a constant value
// beside the name of a secret, as in a container's environment.
func (p place) literals(expression hclsyntax.Expression) {
	visit(expression, func(node hclsyntax.Node) {
		switch node := node.(type) {
		case *hclsyntax.LiteralValueExpr:
			if node.Val.Type() == cty.String && !node.Val.IsNull() && secretText.MatchString(node.Val.AsString()) {
				p.found.add(node.SrcRange, "secret", "this looks like a secret")
			}
		case *hclsyntax.TemplateWrapExpr:
			p.found.add(node.SrcRange, "format", "`tofu fmt` takes the quotes and ${} away")
		case *hclsyntax.ObjectConsExpr:
			p.environment(node)
		}
	})
}

func (p place) environment(object *hclsyntax.ObjectConsExpr) {
	named := false
	for _, item := range object.Items {
		if literal(item.KeyExpr) == "name" && secretEnv.MatchString(literal(item.ValueExpr)) {
			named = true
		}
	}
	for _, item := range object.Items {
		if named && literal(item.KeyExpr) == "value" && constantText(item.ValueExpr) {
			p.found.add(item.ValueExpr.Range(), "secret", "the value of a secret is written here")
		}
	}
}
