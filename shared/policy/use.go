package policy

import "github.com/open-policy-agent/opa/v1/ast"

var everything = InputUse{Method: true, Host: true, Path: true, Peer: true}

// uses finds every reference to input.request in compiled modules, where
// imports and aliases are resolved. Whatever is not a plain path, like
// input[x], input.request alone or input as a value, counts as reading all.
func uses(modules map[string]*ast.Module) InputUse {
	var use InputUse
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(node any) bool {
		switch node := node.(type) {
		case ast.Ref:
			use.add(readBy(node))
			for _, term := range node[1:] {
				visitor.Walk(term)
			}
			head := node[0]
			if _, isVar := head.Value.(ast.Var); !isVar {
				visitor.Walk(head)
			}
			return true
		case ast.Var:
			if node.Equal(ast.InputRootDocument.Value) {
				use = everything
			}
		case *ast.Rule:
			visitor.Walk(node.Head.Ref())
		}
		return false
	})
	for _, module := range modules {
		for _, rule := range module.Rules {
			visitor.Walk(rule)
		}
	}
	return use
}

func (u *InputUse) add(more InputUse) {
	u.Method = u.Method || more.Method
	u.Host = u.Host || more.Host
	u.Path = u.Path || more.Path
	u.Peer = u.Peer || more.Peer
}

// readBy says what one reference can read of input.request.
func readBy(ref ast.Ref) InputUse {
	if !ref[0].Equal(ast.InputRootDocument) {
		return InputUse{}
	}
	if len(ref) == 1 {
		return everything
	}
	switch member, isString := ref[1].Value.(ast.String); {
	case !isString:
		return everything
	case member != "request":
		return InputUse{}
	case len(ref) == 2:
		return everything
	}
	switch ref[2].Value {
	case ast.String("method"):
		return InputUse{Method: true}
	case ast.String("host"):
		return InputUse{Host: true}
	case ast.String("path"):
		return InputUse{Path: true}
	case ast.String("peer"):
		return InputUse{Peer: true}
	}
	if _, isString := ref[2].Value.(ast.String); isString {
		return InputUse{} // no such member
	}
	return everything
}
