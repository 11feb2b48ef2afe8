package main

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

var (
	variable = &schema.Body{
		Attributes: map[string]string{"type": "required any", "description": "required string", "default": "optional any", "sensitive": "optional bool", "nullable": "optional bool"},
		Blocks:     map[string]*schema.Nested{"validation": condition},
	}
	output = &schema.Body{
		Attributes: map[string]string{"value": "required any", "description": "required string", "sensitive": "optional bool"},
		Blocks:     map[string]*schema.Nested{"precondition": condition},
	}
	assertion = &schema.Body{Blocks: map[string]*schema.Nested{"assert": {Mode: "required", Nesting: "list", Body: condition.Body}}}
)

// module holds every declaration of one folder.
func (s *scope) module() {
	s.settings()
	for _, block := range s.m.providers {
		s.provider(block)
	}
	for _, name := range sortedKeys(s.m.variables) {
		s.variable(name, s.m.variables[name])
	}
	for _, name := range sortedKeys(s.m.locals) {
		s.top().value(s.m.locals[name].Expr, cty.DynamicPseudoType)
	}
	for a, block := range s.m.resources {
		s.resource(a, block)
	}
	for _, name := range sortedKeys(s.m.calls) {
		s.call(name, s.m.calls[name])
	}
	for _, name := range sortedKeys(s.m.outputs) {
		s.output(name, s.m.outputs[name])
	}
	for _, block := range s.m.checks {
		s.top().body(block.Body, assertion, "check "+block.Labels[0])
	}
	for _, block := range s.m.moved {
		s.moved(block)
	}
	s.tfvars()
	s.unused()
}

func (s *scope) variable(name string, block *hclsyntax.Block) {
	p := s.top()
	p.context = &hcl.EvalContext{Functions: s.context.Functions, Variables: map[string]cty.Value{"var": s.context.Variables["var"]}}
	before := s.used["var."+name] // a validation is no use
	p.body(block.Body, variable, "variable "+name, "type")
	s.used["var."+name] = before
	if block.Body.Attributes["type"] == nil {
		s.found.add(block.DefRange(), "required", "variable %s has no type", name)
	}
	s.described(name, block)
	secret := secretName(name)
	if secret && !s.inputs[name].sensitive {
		s.found.add(block.DefRange(), "sensitive", "variable %s is not sensitive; or it is about a secret, and its name ends with _id, _name, _arn or the like", name)
	}
	attribute := block.Body.Attributes["default"]
	if attribute == nil {
		return
	}
	if s.inputs[name].sensitive || secret {
		p.noLiteral(attribute)
	}
	value, diagnostics := attribute.Expr.Value(nil)
	if in := s.inputs[name]; !diagnostics.HasErrors() && !value.IsNull() {
		if in.defaults != nil {
			value = in.defaults.Apply(value)
		}
		p.converts(attribute.Expr.Range(), value, in.constraint)
	}
}

func (s *scope) described(name string, block *hclsyntax.Block) {
	attribute := block.Body.Attributes["description"]
	if attribute != nil && literal(attribute.Expr) == "" {
		s.found.add(attribute.Expr.Range(), "description", "%s %s is not described", block.Type, name)
	}
}

func (s *scope) output(name string, block *hclsyntax.Block) {
	p := s.top()
	p.dependsOn(block.Body)
	p.body(block.Body, output, "output "+name, "depends_on")
	s.described(name, block)
	attribute := block.Body.Attributes["value"]
	if attribute == nil || isTrue(block.Body.Attributes["sensitive"]) {
		return
	}
	value, diagnostics := attribute.Expr.Value(s.context)
	if !diagnostics.HasErrors() && value.ContainsMarked() {
		s.found.add(block.DefRange(), "sensitive", "output %s is not sensitive", name)
	}
}

func (s *scope) moved(block *hclsyntax.Block) {
	for _, end := range []string{"from", "to"} {
		if block.Body.Attributes[end] == nil {
			s.found.add(block.DefRange(), "required", "moved has no %s", end)
		}
	}
	if to := block.Body.Attributes["to"]; to != nil {
		s.top().named(to.Expr)
	}
}

// unused says what is declared for nobody.
func (s *scope) unused() {
	for _, name := range sortedKeys(s.m.variables) {
		if !s.used["var."+name] {
			s.found.add(s.m.variables[name].DefRange(), "unused", "var.%s", name)
		}
	}
	for _, name := range sortedKeys(s.m.locals) {
		if !s.used["local."+name] {
			s.found.add(s.m.locals[name].NameRange, "unused", "local.%s", name)
		}
	}
	for a, block := range s.m.resources {
		if a.data && !s.used[a.String()] {
			s.found.add(block.DefRange(), "unused", "%s", a)
		}
	}
}
