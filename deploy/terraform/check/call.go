package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// call holds a module block against the variables of the module that it names.
func (s *scope) call(name string, block *hclsyntax.Block) {
	source := block.Body.Attributes["source"]
	if source == nil {
		s.found.add(block.DefRange(), "required", "module.%s has no source", name)
		return
	}
	child := s.child(block)
	if child == nil {
		s.found.add(source.Expr.Range(), "module", "there is no module at this path; modules come from this tree only")
		return
	}
	p := s.top().repeats(block.Body)
	p.dependsOn(block.Body)
	for _, argument := range sortedKeys(block.Body.Attributes) {
		attribute := block.Body.Attributes[argument]
		if slices.Contains([]string{"source", "count", "for_each", "depends_on", "providers"}, argument) {
			continue
		}
		in, ok := child.inputs[argument]
		if !ok {
			s.found.add(attribute.NameRange, "input", "module %s has no variable %s", name, argument)
			continue
		}
		p.value(attribute.Expr, in.constraint)
		if in.sensitive {
			p.noLiteral(attribute)
		}
	}
	for _, inner := range block.Body.Blocks {
		s.found.add(inner.DefRange(), "block", "module %s has no block %s", name, inner.Type)
	}
	for _, variable := range sortedKeys(child.inputs) {
		if child.inputs[variable].required && block.Body.Attributes[variable] == nil {
			s.found.add(block.DefRange(), "input", "module %s wants %s", name, variable)
		}
	}
	s.passes(name, block, child)
}

// passes holds the providers that a call passes against those that the module wants.
func (s *scope) passes(name string, block *hclsyntax.Block, child *scope) {
	passed := map[string]bool{}
	if attribute := block.Body.Attributes["providers"]; attribute != nil {
		object, ok := attribute.Expr.(*hclsyntax.ObjectConsExpr)
		if !ok {
			s.found.add(attribute.Expr.Range(), "type", "providers wants a literal map")
			return
		}
		wanted := child.m.configurations()
		for _, item := range object.Items {
			key := reference(item.KeyExpr)
			passed[key] = true
			if !wanted[key] {
				s.found.add(item.KeyExpr.Range(), "provider", "module %s does not take a provider %s", name, key)
			}
			outer, _, _ := strings.Cut(key, ".")
			s.configuration(item.ValueExpr, outer)
		}
	}
	for _, want := range sortedKeys(child.m.configurations()) {
		if strings.Contains(want, ".") && !passed[want] {
			s.found.add(block.DefRange(), "provider", "module %s wants the provider %s", name, want)
		}
	}
	for _, own := range child.m.providers {
		s.found.add(own.DefRange(), "provider", "a module that others call has no provider of its own")
	}
}

// reference writes a name as it stands: aws, or aws.east.
func reference(expression hclsyntax.Expression) string {
	if key, ok := expression.(*hclsyntax.ObjectConsKeyExpr); ok {
		expression = key.Wrapped
	}
	traversal, diagnostics := hcl.AbsTraversalForExpr(expression)
	if diagnostics.HasErrors() {
		return ""
	}
	return strings.Join(leading(traversal), ".")
}

// configuration is the provider that a resource or a module is given.
func (s *scope) configuration(expression hclsyntax.Expression, provider string) {
	name := reference(expression)
	if of, _, _ := strings.Cut(name, "."); of != provider {
		s.found.add(expression.Range(), "provider", "%q where a provider %s is wanted", name, provider)
		return
	}
	if !s.m.configurations()[name] {
		s.found.add(expression.Range(), "provider", "the provider %s is not declared", name)
	}
}

// tfvars holds a file of values against the variables of the folder.
func (s *scope) tfvars() {
	for _, name := range sortedKeys(s.m.values) {
		attribute := s.m.values[name]
		in, ok := s.inputs[attribute.Name]
		if !ok {
			s.found.add(attribute.NameRange, "input", "%s has no variable %s", filepath.Base(s.m.dir), attribute.Name)
			continue
		}
		s.top().constant(attribute, in.constraint)
		if in.sensitive && !strings.HasSuffix(attribute.SrcRange.Filename, ".example") {
			s.found.add(attribute.NameRange, "secret", "%s is in a file", attribute.Name)
		}
	}
}

func (p place) constant(attribute *hclsyntax.Attribute, want cty.Type) cty.Value {
	return place{p.scope, &hcl.EvalContext{Functions: p.scope.context.Functions}, nil}.value(attribute.Expr, want)
}
