package main

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// infer evaluates an expression; where the language gives up on an unknown
// collection, it goes on with any one element, so that what a for expression makes
// has a type. The context has every name in it.
func infer(expression hclsyntax.Expression, context *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	value, diagnostics := expression.Value(context)
	if diagnostics.HasErrors() || value.Type() != cty.DynamicPseudoType {
		return value, diagnostics
	}
	guess := cty.NilVal
	switch node := expression.(type) {
	case *hclsyntax.ParenthesesExpr:
		guess, _ = infer(node.Expression, context)
	case *hclsyntax.ForExpr:
		guess = inferLoop(node, context)
	case *hclsyntax.FunctionCallExpr:
		guess = inferCall(node, context)
	case *hclsyntax.ConditionalExpr:
		a, _ := infer(node.TrueResult, context)
		b, _ := infer(node.FalseResult, context)
		if a.Type().Equals(b.Type()) {
			guess = cty.UnknownVal(a.Type())
		}
	}
	if guess == cty.NilVal {
		return value, diagnostics
	}
	return guess.WithSameMarks(value), diagnostics
}

func inferLoop(loop *hclsyntax.ForExpr, context *hcl.EvalContext) cty.Value {
	collection, diagnostics := infer(loop.CollExpr, context)
	if diagnostics.HasErrors() {
		return cty.NilVal
	}
	one, diagnostics := infer(loop.ValExpr, inside(loop, collection, context))
	if diagnostics.HasErrors() {
		return cty.NilVal
	}
	kind := one.Type()
	switch {
	case loop.KeyExpr == nil:
		return cty.UnknownVal(cty.List(kind))
	case loop.Group:
		return cty.UnknownVal(cty.Map(cty.List(kind)))
	}
	return cty.UnknownVal(cty.Map(kind))
}

// inside is what the body of a for expression sees.
func inside(loop *hclsyntax.ForExpr, collection cty.Value, context *hcl.EvalContext) *hcl.EvalContext {
	key, value := element(collection)
	child := context.NewChild()
	child.Variables = map[string]cty.Value{loop.ValVar: value}
	if loop.KeyVar != "" {
		child.Variables[loop.KeyVar] = key
	}
	return child
}

func inferCall(call *hclsyntax.FunctionCallExpr, context *hcl.EvalContext) cty.Value {
	if call.ExpandFinal || call.Name == "try" || call.Name == "can" {
		return cty.NilVal
	}
	root := context
	for root.Parent() != nil {
		root = root.Parent()
	}
	f, ok := root.Functions[call.Name]
	if !ok {
		return cty.NilVal
	}
	var args []cty.Value
	for _, argument := range call.Args {
		value, _ := infer(argument, context)
		args = append(args, value)
	}
	value, err := f.Call(args)
	if err != nil {
		return cty.NilVal
	}
	return value
}
