package main

import (
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// A tree is every module below one folder, and what was found in them.
type tree struct {
	facts   schema.Providers
	modules map[string]*module
	scopes  map[string]*scope
	found   *findings
}

// A scope is what the expressions of one module see. Nothing is planned: a value
// that only a plan knows is unknown, but of its type, and the language itself
// finds an attribute that is not there or a value of another type.
type scope struct {
	*tree
	m       *module
	context *hcl.EvalContext
	inputs  map[string]input
	locals  map[string]cty.Value
	used    map[string]bool // "var.name", "local.name" and addresses of data sources
}

// An input is a variable of the module, as a caller sees it.
type input struct {
	constraint cty.Type
	defaults   *typeexpr.Defaults
	required   bool
	sensitive  bool
}

// scope of a folder; the modules that it calls come first. It is nil for a folder
// without a module, and for one that calls itself.
func (t *tree) scope(dir string) *scope {
	if s, ok := t.scopes[dir]; ok {
		return s
	}
	t.scopes[dir] = nil
	m := t.modules[dir]
	if m == nil {
		return nil
	}
	s := &scope{tree: t, m: m, inputs: map[string]input{}, locals: map[string]cty.Value{}, used: map[string]bool{}}
	s.context = &hcl.EvalContext{Functions: functions(), Variables: s.objects()}
	s.context.Variables["path"] = cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(dir), "root": cty.UnknownVal(cty.String), "cwd": cty.UnknownVal(cty.String)})
	s.context.Variables["terraform"] = cty.ObjectVal(map[string]cty.Value{"workspace": cty.UnknownVal(cty.String)})
	s.context.Variables["var"] = s.variables()
	s.context.Variables["module"] = s.called()
	s.context.Variables["local"] = cty.EmptyObjectVal
	for name := range m.locals {
		s.local(name, nil)
	}
	s.context.Variables["local"] = cty.ObjectVal(s.locals)
	t.scopes[dir] = s
	return s
}

func (s *scope) variables() cty.Value {
	values := map[string]cty.Value{}
	for name, block := range s.m.variables {
		in := input{constraint: cty.DynamicPseudoType, required: block.Body.Attributes["default"] == nil}
		if kind := block.Body.Attributes["type"]; kind != nil {
			var diagnostics hcl.Diagnostics
			in.constraint, in.defaults, diagnostics = typeexpr.TypeConstraintWithDefaults(kind.Expr)
			s.found.diagnose("type", kind.Range(), diagnostics)
		}
		in.sensitive = isTrue(block.Body.Attributes["sensitive"])
		s.inputs[name] = in
		values[name] = cty.UnknownVal(in.constraint.WithoutOptionalAttributesDeep())
		if in.sensitive {
			values[name] = values[name].Mark(sensitive)
		}
	}
	return cty.ObjectVal(values)
}

func isTrue(attribute *hclsyntax.Attribute) bool {
	if attribute == nil {
		return false
	}
	value, diagnostics := attribute.Expr.Value(nil)
	return !diagnostics.HasErrors() && value.RawEquals(cty.True)
}

// objects are the resources and data sources.
func (s *scope) objects() map[string]cty.Value {
	kinds, data := map[string]map[string]cty.Value{}, map[string]map[string]cty.Value{}
	for a, block := range s.m.resources {
		in := kinds
		if a.data {
			in = data
		}
		if in[a.kind] == nil {
			in[a.kind] = map[string]cty.Value{}
		}
		in[a.kind][a.name] = s.instances(a, block)
	}
	values, sources := map[string]cty.Value{}, map[string]cty.Value{}
	for kind, names := range kinds {
		values[kind] = cty.ObjectVal(names)
	}
	for kind, names := range data {
		sources[kind] = cty.ObjectVal(names)
	}
	values["data"] = cty.ObjectVal(sources)
	return values
}

func (s *scope) instances(a address, block *hclsyntax.Block) cty.Value {
	known := s.facts.Of(a.data, a.kind)
	if known == nil {
		return cty.DynamicVal
	}
	if many, ok := repeated(block.Body, known.Object()); ok {
		return many
	}
	values := map[string]cty.Value{}
	for name, kind := range known.AttributeTypes() {
		values[name] = cty.UnknownVal(kind)
		if schema.Secret(name) || a.kind == "random_password" && name == "result" {
			values[name] = values[name].Mark(sensitive)
		}
	}
	return cty.ObjectVal(values)
}

func repeated(body *hclsyntax.Body, of cty.Type) (cty.Value, bool) {
	switch {
	case body.Attributes["count"] != nil:
		return cty.UnknownVal(cty.List(of)), true
	case body.Attributes["for_each"] != nil:
		return cty.UnknownVal(cty.Map(of)), true
	}
	return cty.NilVal, false
}

// called are the outputs of the modules that this one calls.
func (s *scope) called() cty.Value {
	values := map[string]cty.Value{}
	for name, block := range s.m.calls {
		values[name] = cty.DynamicVal
		child := s.child(block)
		if child == nil {
			continue
		}
		kinds, outputs := map[string]cty.Type{}, map[string]cty.Value{}
		for output, declared := range child.m.outputs {
			value := cty.DynamicVal
			if expression := declared.Body.Attributes["value"]; expression != nil {
				value, _ = infer(expression.Expr, child.context) // the child's own check says what is wrong
			}
			kinds[output] = value.Type()
			outputs[output] = cty.UnknownVal(value.Type())
			if isTrue(declared.Body.Attributes["sensitive"]) {
				outputs[output] = outputs[output].Mark(sensitive)
			}
		}
		values[name] = cty.ObjectVal(outputs)
		if many, ok := repeated(block.Body, cty.Object(kinds)); ok {
			values[name] = many
		}
	}
	return cty.ObjectVal(values)
}

// child is the scope of the module that a call names.
func (s *scope) child(call *hclsyntax.Block) *scope {
	source := call.Body.Attributes["source"]
	if source == nil {
		return nil
	}
	value, diagnostics := source.Expr.Value(nil)
	if diagnostics.HasErrors() || value.IsNull() || value.Type() != cty.String {
		return nil
	}
	return s.tree.scope(filepath.Join(s.m.dir, filepath.FromSlash(value.AsString())))
}

// local evaluates a local value after those that it names. path is the chain that
// led here; one that closes is a cycle.
func (s *scope) local(name string, path []string) {
	attribute := s.m.locals[name]
	if _, done := s.locals[name]; done || attribute == nil {
		return
	}
	if slices.Contains(path, name) {
		s.found.add(attribute.NameRange, "cycle", "local.%s is made of itself", name)
		s.locals[name] = cty.DynamicVal
		return
	}
	values := map[string]cty.Value{}
	for _, traversal := range attribute.Expr.Variables() {
		if traversal.RootName() != "local" || len(traversal) < 2 {
			continue
		}
		if step, ok := traversal[1].(hcl.TraverseAttr); ok {
			s.local(step.Name, append(slices.Clip(path), name))
			if value, known := s.locals[step.Name]; known {
				values[step.Name] = value
			}
		}
	}
	context := s.context.NewChild()
	context.Variables = map[string]cty.Value{"local": cty.ObjectVal(values)}
	value, diagnostics := infer(attribute.Expr, context)
	if diagnostics.HasErrors() {
		value = cty.DynamicVal // said where the locals are checked
	}
	if _, cyclic := s.locals[name]; !cyclic {
		s.locals[name] = value
	}
}
