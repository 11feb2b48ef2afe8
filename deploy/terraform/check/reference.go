package main

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// resolves says whether what a traversal begins with is there: the attributes of
// what it leads to are found by evaluation, but not inside of try and can.
func (p place) resolves(traversal hcl.Traversal) bool {
	root, at := traversal.RootName(), traversal.SourceRange()
	if p.added[root] {
		return true
	}
	names := leading(traversal)
	name := func(i int) string {
		if i < len(names) {
			return names[i]
		}
		return ""
	}
	switch root {
	case "var":
		p.used["var."+name(1)] = true
		return p.reports(p.m.variables[name(1)] != nil, at, "variable", "var.%s is not declared", name(1))
	case "local":
		p.used["local."+name(1)] = true
		return p.reports(p.m.locals[name(1)] != nil, at, "local", "local.%s is not declared", name(1))
	case "module":
		return p.resolvesCall(traversal, name(1))
	case "path":
		return p.reports(slices.Contains([]string{"module", "root", "cwd"}, name(1)), at, "reference", "path.%s does not exist", name(1))
	case "terraform":
		return p.reports(name(1) == "workspace", at, "reference", "terraform.%s does not exist", name(1))
	case "each", "count", "self":
		return p.reports(false, at, "reference", "%s is not known here", root)
	case "data":
		return p.resolvesObject(traversal, 3, address{true, name(1), name(2)})
	}
	return p.resolvesObject(traversal, 2, address{false, root, name(1)})
}

func (p place) reports(good bool, at hcl.Range, rule, format string, args ...any) bool {
	if !good {
		p.found.add(at, rule, format, args...)
	}
	return good
}

// leading are the names of a traversal up to its first index.
func leading(traversal hcl.Traversal) []string {
	names := []string{traversal.RootName()}
	for _, step := range traversal[1:] {
		attribute, ok := step.(hcl.TraverseAttr)
		if !ok {
			break
		}
		names = append(names, attribute.Name)
	}
	return names
}

// after is the first name that follows n steps and the key of an instance.
func after(traversal hcl.Traversal, n int) (string, bool) {
	if len(traversal) <= n {
		return "", false
	}
	step := traversal[n]
	if _, index := step.(hcl.TraverseIndex); index && len(traversal) > n+1 {
		step = traversal[n+1]
	}
	attribute, ok := step.(hcl.TraverseAttr)
	return attribute.Name, ok
}

func (p place) resolvesCall(traversal hcl.Traversal, name string) bool {
	at := traversal.SourceRange()
	call := p.m.calls[name]
	if call == nil {
		return p.reports(false, at, "module", "module.%s is not called", name)
	}
	p.used["module."+name] = true
	child := p.child(call)
	output, ok := after(traversal, 2)
	if child == nil || !ok {
		return true
	}
	return p.reports(child.m.outputs[output] != nil, at, "output", "module.%s has no output %s", name, output)
}

func (p place) resolvesObject(traversal hcl.Traversal, n int, a address) bool {
	at := traversal.SourceRange()
	if p.m.resources[a] == nil {
		return p.reports(false, at, "reference", "%s is not declared", a)
	}
	p.used[a.String()] = true
	known := p.facts.Of(a.data, a.kind)
	attribute, ok := after(traversal, n)
	if known == nil || !ok {
		return true
	}
	_, ok = known.AttributeTypes()[attribute]
	return p.reports(ok, at, "attribute", "%s has no attribute %s", a, attribute)
}

// named resolves an expression that has to be a name, as those of depends_on.
func (p place) named(expression hclsyntax.Expression) {
	traversal, diagnostics := hcl.AbsTraversalForExpr(expression)
	if diagnostics.HasErrors() {
		p.found.diagnose("reference", expression.Range(), diagnostics)
		return
	}
	p.resolves(traversal)
}

// list are the elements of a literal list.
func (p place) list(attribute *hclsyntax.Attribute) []hclsyntax.Expression {
	tuple, ok := attribute.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		p.found.add(attribute.Expr.Range(), "type", "%s wants a literal list", attribute.Name)
		return nil
	}
	return tuple.Exprs
}
