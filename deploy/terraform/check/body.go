package main

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// body holds what stands between two braces against a schema. The names in skip
// are the language's own.
func (p place) body(body *hclsyntax.Body, s *schema.Body, what string, skip ...string) {
	for _, name := range sortedKeys(body.Attributes) {
		if attribute := body.Attributes[name]; !slices.Contains(skip, name) {
			p.argument(attribute, s, what)
		}
	}
	counts := map[string]int{}
	for _, block := range body.Blocks {
		switch {
		case slices.Contains(skip, block.Type):
		case block.Type == "dynamic":
			p.dynamic(block, s, what, counts)
		default:
			p.block(block, block.Type, s, what)
			counts[block.Type]++
		}
	}
	p.complete(body, s, what, counts)
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

func (p place) argument(attribute *hclsyntax.Attribute, s *schema.Body, what string) {
	line, plain := s.Attributes[attribute.Name]
	object := s.Objects[attribute.Name]
	switch {
	case plain && schema.Mode(line) == "computed", object != nil && object.Mode == "computed":
		p.found.add(attribute.NameRange, "argument", "%s of %s is only read", attribute.Name, what)
	case plain:
		p.given(attribute, schema.TypeOf(line), schema.Mode(line) == "required")
		p.secret(attribute)
	case object != nil:
		p.given(attribute, object.Argument(), object.Mode == "required")
	case s.Blocks[attribute.Name] != nil:
		p.found.add(attribute.NameRange, "block", "%s of %s is a block, not an argument", attribute.Name, what)
	default:
		p.found.add(attribute.NameRange, "argument", "%s has no argument %s", what, attribute.Name)
	}
}

func (p place) given(attribute *hclsyntax.Attribute, want cty.Type, required bool) {
	if value := p.value(attribute.Expr, want); required && value.IsNull() {
		p.found.add(attribute.Expr.Range(), "required", "%s may not be null", attribute.Name)
	}
}

// block takes an attribute of objects too, where the provider lets one be written
// as blocks: every list or set of them.
func (p place) block(block *hclsyntax.Block, name string, s *schema.Body, what string) {
	of := s.Blocks[name]
	if of == nil {
		if object := s.Objects[name]; object != nil && object.Mode != "computed" && (object.Nesting == "list" || object.Nesting == "set") {
			of = object
		}
	}
	switch {
	case of != nil:
		p.body(block.Body, &of.Body, what+"."+name)
	case s.Attributes[name] != "" || s.Objects[name] != nil:
		p.found.add(block.DefRange(), "block", "%s of %s is an argument, not a block", name, what)
	default:
		p.found.add(block.DefRange(), "block", "%s has no block %s", what, name)
	}
}

func (p place) dynamic(block *hclsyntax.Block, s *schema.Body, what string, counts map[string]int) {
	if len(block.Labels) != 1 {
		p.found.add(block.DefRange(), "block", "dynamic wants one label")
		return
	}
	name, iterator := block.Labels[0], block.Labels[0]
	for _, attribute := range sortedKeys(block.Body.Attributes) {
		value := block.Body.Attributes[attribute]
		switch attribute {
		case "iterator":
			names := value.Expr.Variables()
			if len(names) != 1 || len(names[0]) != 1 {
				p.found.add(value.Expr.Range(), "block", "iterator wants a name")
				return
			}
			iterator = names[0].RootName()
		case "for_each", "labels":
		default:
			p.found.add(value.NameRange, "argument", "dynamic has no argument %s", attribute)
		}
	}
	forEach := block.Body.Attributes["for_each"]
	if forEach == nil {
		p.found.add(block.DefRange(), "required", "dynamic %s has no for_each", name)
		return
	}
	collection := p.value(forEach.Expr, cty.DynamicPseudoType)
	if kind := collection.Type(); kind != cty.DynamicPseudoType && !kind.IsCollectionType() && !kind.IsTupleType() && !kind.IsObjectType() {
		p.found.add(forEach.Expr.Range(), "type", "for_each of a %s", kind.FriendlyName())
	}
	key, value := element(collection)
	inside := p.with(iterator, cty.ObjectVal(map[string]cty.Value{"key": key, "value": value}))
	if len(block.Body.Blocks) != 1 || block.Body.Blocks[0].Type != "content" {
		p.found.add(block.DefRange(), "block", "dynamic %s wants one content block", name)
		return
	}
	inside.block(block.Body.Blocks[0], name, s, what)
	counts[name] += 0 // it is written, for any number of times
}

// complete says which required names are not there, and which blocks are there
// more often than once.
func (p place) complete(body *hclsyntax.Body, s *schema.Body, what string, counts map[string]int) {
	at := body.SrcRange
	at.End = at.Start
	lacks := func(name string) {
		p.found.add(at, "required", "%s has no %s", what, name)
	}
	for _, name := range sortedKeys(s.Attributes) {
		if schema.Mode(s.Attributes[name]) == "required" && body.Attributes[name] == nil {
			lacks(name)
		}
	}
	for _, name := range sortedKeys(s.Objects) {
		if _, written := counts[name]; s.Objects[name].Mode == "required" && body.Attributes[name] == nil && !written {
			lacks(name)
		}
	}
	for _, name := range sortedKeys(s.Blocks) {
		count, written := counts[name]
		if s.Blocks[name].Mode == "required" && !written {
			lacks("block " + name)
		}
		if s.Blocks[name].Max == 1 && count > 1 {
			p.found.add(at, "block", "%s has %d blocks %s, and may have one", what, count, name)
		}
	}
}
