package policy

import "github.com/open-policy-agent/opa/v1/ast"

var everything = InputUse{Method: true, Host: true, Path: true, Peer: true, RPC: true, Scope: true, Identity: true}

// uses finds every reference to members of input in compiled modules, where
// imports and aliases are resolved and input by itself is a reference too.
// Whatever is not a plain path, like input[x] or input.request alone, counts
// as reading all.
func uses(modules map[string]*ast.Module) InputUse {
	var use InputUse
	for _, module := range modules {
		for _, rule := range module.Rules {
			ast.WalkRefs(rule, func(ref ast.Ref) bool {
				use.add(readBy(ref))
				return false
			})
		}
	}
	return use
}

func (u *InputUse) add(more InputUse) {
	u.Method = u.Method || more.Method
	u.Host = u.Host || more.Host
	u.Path = u.Path || more.Path
	u.Peer = u.Peer || more.Peer
	u.RPC = u.RPC || more.RPC
	u.Scope = u.Scope || more.Scope
	u.Identity = u.Identity || more.Identity
}

// readBy says what one reference can read of input.
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
	case member == "rpc":
		return InputUse{RPC: true}
	case member == "agent":
		return InputUse{Identity: true}
	case member == "token":
		return tokenBy(ref)
	case member != "request":
		return InputUse{} // input.route, or nothing that there is
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

// tokenBy says what a reference into input.token can read.
func tokenBy(ref ast.Ref) InputUse {
	if len(ref) > 2 && ref[2].Value == ast.String("scope") {
		return InputUse{Scope: true}
	}
	return InputUse{Scope: true, Identity: true}
}
