package main

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A place is where expressions stand: what they see is the module's scope, and
// what the blocks around them add (each, count, self, iterators of dynamic blocks).
type place struct {
	*scope
	context *hcl.EvalContext
	added   map[string]bool
}

func (s *scope) top() place { return place{s, s.context, nil} }

func (p place) with(name string, value cty.Value) place {
	context := p.context.NewChild()
	context.Variables = map[string]cty.Value{name: value}
	added := maps.Clone(p.added)
	if added == nil {
		added = map[string]bool{}
	}
	added[name] = true
	return place{p.scope, context, added}
}

// value evaluates an expression that has to be of a type.
func (p place) value(expression hclsyntax.Expression, want cty.Type) cty.Value {
	value, ok := p.evaluate(expression)
	if !ok {
		return cty.UnknownVal(want.WithoutOptionalAttributesDeep())
	}
	return p.converts(expression.Range(), value, want)
}

func (p place) converts(at hcl.Range, value cty.Value, want cty.Type) cty.Value {
	converted, err := convert.Convert(value, want)
	if err != nil {
		p.found.add(at, "type", "%s where %s is wanted: %v", value.Type().FriendlyName(), want.FriendlyNameForConstraint(), err)
		return cty.UnknownVal(want.WithoutOptionalAttributesDeep())
	}
	return converted
}

// evaluate says what is wrong with an expression, once: a name that does not
// resolve is not evaluated.
func (p place) evaluate(expression hclsyntax.Expression) (cty.Value, bool) {
	good := true
	for _, traversal := range expression.Variables() {
		good = p.resolves(traversal) && good
	}
	p.literals(expression)
	good = p.calls(expression) && good
	if !good {
		return cty.DynamicVal, false
	}
	p.loops(expression)
	value, diagnostics := infer(expression, p.context)
	p.found.diagnose("expression", expression.Range(), diagnostics)
	return value, !diagnostics.HasErrors()
}

// calls holds the functions against the language's; inside of try and can nothing
// else would.
func (p place) calls(expression hclsyntax.Expression) bool {
	good := true
	visit(expression, func(node hclsyntax.Node) {
		if call, ok := node.(*hclsyntax.FunctionCallExpr); ok {
			if _, known := p.scope.context.Functions[call.Name]; !known {
				p.found.add(call.NameRange, "function", "%s is not a function", call.Name)
				good = false
			}
		}
	})
	return good
}

func visit(top hclsyntax.Node, look func(hclsyntax.Node)) {
	_ = hclsyntax.VisitAll(top, func(node hclsyntax.Node) hcl.Diagnostics { // look has no diagnostics
		look(node)
		return nil
	})
}

// loops evaluates the insides of for expressions whose collection is unknown, which
// the language would not look into.
func (p place) loops(expression hclsyntax.Expression) {
	walker := &loopWalker{place: p}
	_ = hclsyntax.Walk(expression, walker) // it has no diagnostics
}

type loopWalker struct {
	place place
	depth int
}

func (w *loopWalker) Enter(node hclsyntax.Node) hcl.Diagnostics {
	loop, ok := node.(*hclsyntax.ForExpr)
	if !ok {
		return nil
	}
	if w.depth == 0 {
		w.place.loop(loop)
	}
	w.depth++
	return nil
}

func (w *loopWalker) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if _, ok := node.(*hclsyntax.ForExpr); ok {
		w.depth--
	}
	return nil
}

func (p place) loop(loop *hclsyntax.ForExpr) {
	p.loops(loop.CollExpr)
	collection, diagnostics := infer(loop.CollExpr, p.context)
	if diagnostics.HasErrors() {
		return // the expression around says so
	}
	body := place{p.scope, inside(loop, collection, p.context), p.added}
	for _, part := range []hclsyntax.Expression{loop.KeyExpr, loop.ValExpr, loop.CondExpr} {
		if part == nil {
			continue
		}
		body.loops(part)
		_, diagnostics := part.Value(body.context)
		p.found.diagnose("expression", part.Range(), diagnostics)
	}
}

// element is any one of a collection: unknown, of its type.
func element(collection cty.Value) (key, value cty.Value) {
	collection, marks := collection.Unmark()
	kind := collection.Type()
	key, value = cty.DynamicVal, cty.DynamicVal
	switch {
	case kind.IsMapType():
		key, value = cty.UnknownVal(cty.String), cty.UnknownVal(kind.ElementType())
	case kind.IsListType():
		key, value = cty.UnknownVal(cty.Number), cty.UnknownVal(kind.ElementType())
	case kind.IsSetType():
		value = cty.UnknownVal(kind.ElementType())
		key = value
	case kind.IsTupleType():
		key, value = cty.UnknownVal(cty.Number), common(kind.TupleElementTypes())
	case kind.IsObjectType():
		var types []cty.Type
		for _, of := range kind.AttributeTypes() {
			types = append(types, of)
		}
		key, value = cty.UnknownVal(cty.String), common(types)
	}
	return key, value.WithMarks(marks)
}

func common(types []cty.Type) cty.Value {
	if len(types) == 0 {
		return cty.DynamicVal
	}
	for _, other := range types[1:] {
		if !other.Equals(types[0]) {
			return cty.DynamicVal
		}
	}
	return cty.UnknownVal(types[0])
}
