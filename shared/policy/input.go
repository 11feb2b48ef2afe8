package policy

import (
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Key terms are shared by all inputs; OPA never changes a term.
var (
	keyAgent   = ast.StringTerm("agent")
	keyToken   = ast.StringTerm("token")
	keyRequest = ast.StringTerm("request")
	keyRoute   = ast.StringTerm("route")
	keyRPC     = ast.StringTerm("rpc")

	keyID             = ast.StringTerm("id")
	keyOrganizationID = ast.StringTerm("organizationId")
	keyClientID       = ast.StringTerm("clientId")
	keyJTI            = ast.StringTerm("jti")
	keyAudience       = ast.StringTerm("aud")
	keyScope          = ast.StringTerm("scope")
	keyExpiresAt      = ast.StringTerm("exp")
	keyMethod         = ast.StringTerm("method")
	keyHost           = ast.StringTerm("host")
	keyPath           = ast.StringTerm("path")
	keyPeer           = ast.StringTerm("peer")
	keyCapability     = ast.StringTerm("capability")
	keyProtocol       = ast.StringTerm("protocol")
	keyName           = ast.StringTerm("name")
)

// value builds the input document by hand, without the detour over JSON.
func (in *Input) value() ast.Value {
	object := ast.NewObject(
		[2]*ast.Term{keyAgent, ast.ObjectTerm(
			[2]*ast.Term{keyID, ast.StringTerm(in.Agent.ID)},
			[2]*ast.Term{keyOrganizationID, ast.StringTerm(in.Agent.OrganizationID)},
			[2]*ast.Term{keyClientID, ast.StringTerm(in.Agent.ClientID)},
		)},
		[2]*ast.Term{keyToken, ast.ObjectTerm(
			[2]*ast.Term{keyJTI, ast.StringTerm(in.Token.JTI)},
			[2]*ast.Term{keyAudience, list(in.Token.Audience)},
			[2]*ast.Term{keyScope, list(in.Token.Scope)},
			[2]*ast.Term{keyExpiresAt, ast.NewTerm(ast.Number(strconv.FormatInt(in.Token.ExpiresAt, 10)))},
		)},
		[2]*ast.Term{keyRequest, ast.ObjectTerm(
			[2]*ast.Term{keyMethod, ast.StringTerm(in.Request.Method)},
			[2]*ast.Term{keyHost, ast.StringTerm(in.Request.Host)},
			[2]*ast.Term{keyPath, ast.StringTerm(in.Request.Path)},
			[2]*ast.Term{keyPeer, ast.StringTerm(in.Request.Peer)},
		)},
		[2]*ast.Term{keyRoute, ast.ObjectTerm(
			[2]*ast.Term{keyID, ast.StringTerm(in.Route.ID)},
			[2]*ast.Term{keyCapability, ast.StringTerm(in.Route.Capability)},
		)},
	)
	if in.RPC != nil {
		object.Insert(keyRPC, ast.ObjectTerm(
			[2]*ast.Term{keyProtocol, ast.StringTerm(in.RPC.Protocol)},
			[2]*ast.Term{keyMethod, ast.StringTerm(in.RPC.Method)},
			[2]*ast.Term{keyName, ast.StringTerm(in.RPC.Name)},
		))
	}
	return object
}

func list(values []string) *ast.Term {
	terms := make([]*ast.Term, len(values))
	for i, value := range values {
		terms[i] = ast.StringTerm(value)
	}
	return ast.ArrayTerm(terms...)
}
