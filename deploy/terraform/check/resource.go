package main

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// meta are the arguments and blocks that the language gives every resource.
var meta = []string{"count", "for_each", "depends_on", "provider", "lifecycle"}

func (s *scope) resource(a address, block *hclsyntax.Block) {
	known := s.facts.Of(a.data, a.kind)
	if known == nil {
		s.found.add(block.DefRange(), "type", "no facts of %s: is it a type of its provider? then `make terraform-facts`", a)
		s.uses(block.Body)
		return
	}
	p := s.top().repeats(block.Body)
	if provider := block.Body.Attributes["provider"]; provider != nil {
		s.configuration(provider.Expr, schema.ProviderOf(a.kind))
	} else if a.kind != "terraform_data" {
		s.requires(block, schema.ProviderOf(a.kind))
	}
	p.dependsOn(block.Body)
	p.body(block.Body, known, a.String(), meta...)
	for _, inner := range block.Body.Blocks {
		if inner.Type == "lifecycle" {
			p.lifecycle(inner, a, known)
		}
	}
}

// uses marks what is used in a body that is not held against anything.
func (s *scope) uses(body *hclsyntax.Body) {
	visit(body, func(node hclsyntax.Node) {
		if name, ok := node.(*hclsyntax.ScopeTraversalExpr); ok {
			s.used[strings.Join(leading(name.Traversal)[:min(2, len(leading(name.Traversal)))], ".")] = true
		}
	})
}

// repeats is the place of the body of what count or for_each makes many.
func (p place) repeats(body *hclsyntax.Body) place {
	count, forEach := body.Attributes["count"], body.Attributes["for_each"]
	if count != nil && forEach != nil {
		p.found.add(forEach.NameRange, "argument", "count and for_each exclude each other")
	}
	if count != nil {
		if value := p.value(count.Expr, cty.Number); value.IsMarked() {
			p.found.add(count.Expr.Range(), "sensitive", "count may not depend on a sensitive value")
		}
		p = p.with("count", cty.ObjectVal(map[string]cty.Value{"index": cty.UnknownVal(cty.Number)}))
	}
	if forEach != nil {
		collection := p.value(forEach.Expr, cty.DynamicPseudoType)
		if collection.IsMarked() {
			p.found.add(forEach.Expr.Range(), "sensitive", "for_each may not depend on a sensitive value")
		}
		if kind := collection.Type(); !keyed(kind) {
			p.found.add(forEach.Expr.Range(), "type", "for_each wants a map or a set of strings, not a %s", kind.FriendlyName())
		}
		_, value := element(collection)
		p = p.with("each", cty.ObjectVal(map[string]cty.Value{"key": cty.UnknownVal(cty.String), "value": value}))
	}
	return p
}

// keyed says whether instances can have the collection's keys, as far as its type
// is known.
func keyed(kind cty.Type) bool {
	if kind.IsSetType() {
		return kind.ElementType() == cty.String || kind.ElementType() == cty.DynamicPseudoType
	}
	return kind == cty.DynamicPseudoType || kind.IsMapType() || kind.IsObjectType()
}

func (p place) dependsOn(body *hclsyntax.Body) {
	attribute := body.Attributes["depends_on"]
	if attribute == nil {
		return
	}
	for _, expression := range p.list(attribute) {
		p.named(expression)
	}
}

var lifecycle = &schema.Body{
	Attributes: map[string]string{"create_before_destroy": "optional bool", "prevent_destroy": "optional bool"},
	Blocks:     map[string]*schema.Nested{"precondition": condition, "postcondition": condition},
}

var condition = &schema.Nested{Mode: "optional", Nesting: "list", Body: schema.Body{Attributes: map[string]string{"condition": "required bool", "error_message": "required string"}}}

func (p place) lifecycle(block *hclsyntax.Block, a address, known *schema.Body) {
	itself := p.with("self", cty.UnknownVal(known.Object()))
	itself.body(block.Body, lifecycle, a.String()+".lifecycle", "ignore_changes", "replace_triggered_by")
	if attribute := block.Body.Attributes["replace_triggered_by"]; attribute != nil {
		for _, expression := range p.list(attribute) {
			p.named(expression)
		}
	}
	attribute := block.Body.Attributes["ignore_changes"]
	if attribute == nil {
		return
	}
	if names := attribute.Expr.Variables(); len(names) == 1 && names[0].RootName() == "all" {
		return
	}
	for _, expression := range p.list(attribute) {
		for _, traversal := range expression.Variables() {
			name := traversal.RootName()
			if _, ok := known.AttributeTypes()[name]; !ok {
				p.found.add(expression.Range(), "attribute", "%s has no attribute %s", a, name)
			}
		}
	}
}
