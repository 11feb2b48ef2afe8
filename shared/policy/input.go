package policy

import (
	"maps"
	"strconv"
	"strings"
	"sync/atomic"

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

// input builds the input document by hand, without the detour over JSON, and of
// what the policy can read only: what it cannot is not missed (see InputUse).
func (t *terms) input(in *Input, use *InputUse) ast.Value {
	var room [5][2]*ast.Term
	members := append(room[:0], [2]*ast.Term{keyRoute, t.route(in.Route)})
	if use.Identity {
		members = append(members, [2]*ast.Term{keyAgent, ast.ObjectTerm(
			[2]*ast.Term{keyID, ast.StringTerm(in.Agent.ID)},
			[2]*ast.Term{keyOrganizationID, ast.StringTerm(in.Agent.OrganizationID)},
			[2]*ast.Term{keyClientID, ast.StringTerm(in.Agent.ClientID)},
		)})
	}
	if use.Identity || use.Scope {
		members = append(members, [2]*ast.Term{keyToken, t.token(&in.Token, use)})
	}
	if use.Method || use.Host || use.Path || use.Peer {
		members = append(members, [2]*ast.Term{keyRequest, t.request(&in.Request, use)})
	}
	if in.RPC != nil && use.RPC {
		members = append(members, [2]*ast.Term{keyRPC, ast.ObjectTerm(
			[2]*ast.Term{keyProtocol, t.text(in.RPC.Protocol)},
			[2]*ast.Term{keyMethod, ast.StringTerm(in.RPC.Method)},
			[2]*ast.Term{keyName, ast.StringTerm(in.RPC.Name)},
		)})
	}
	return ast.NewObject(members...)
}

func (t *terms) token(token *Token, use *InputUse) *ast.Term {
	var room [4][2]*ast.Term
	members := room[:0]
	if use.Scope {
		members = append(members, [2]*ast.Term{keyScope, t.list(token.Scope)})
	}
	if use.Identity {
		members = append(members,
			[2]*ast.Term{keyJTI, ast.StringTerm(token.JTI)},
			[2]*ast.Term{keyAudience, t.list(token.Audience)},
			[2]*ast.Term{keyExpiresAt, ast.NewTerm(ast.Number(strconv.FormatInt(token.ExpiresAt, 10)))},
		)
	}
	return ast.ObjectTerm(members...)
}

func (t *terms) request(request *Request, use *InputUse) *ast.Term {
	var room [4][2]*ast.Term
	members := room[:0]
	if use.Method {
		members = append(members, [2]*ast.Term{keyMethod, t.text(request.Method)})
	}
	if use.Host {
		members = append(members, [2]*ast.Term{keyHost, t.text(request.Host)})
	}
	if use.Path {
		members = append(members, [2]*ast.Term{keyPath, ast.StringTerm(request.Path)})
	}
	if use.Peer {
		members = append(members, [2]*ast.Term{keyPeer, ast.StringTerm(request.Peer)})
	}
	return ast.ObjectTerm(members...)
}

// mostTerms bounds the terms that are kept, of each kind.
const mostTerms = 256

// terms keep what many inputs have alike. OPA never changes a term. Once they
// are full, what is not among them is made anew each time.
type terms struct {
	texts  kept[string]
	routes kept[Route]
}

func (t *terms) text(text string) *ast.Term {
	if found := t.texts.get(text); found != nil {
		return found
	}
	text = strings.Clone(text)
	return t.texts.add(text, ast.StringTerm(text))
}

func (t *terms) route(route Route) *ast.Term {
	if found := t.routes.get(route); found != nil {
		return found
	}
	route = Route{ID: strings.Clone(route.ID), Capability: strings.Clone(route.Capability)}
	return t.routes.add(route, ast.ObjectTerm(
		[2]*ast.Term{keyID, ast.StringTerm(route.ID)},
		[2]*ast.Term{keyCapability, ast.StringTerm(route.Capability)},
	))
}

func (t *terms) list(values []string) *ast.Term {
	terms := make([]*ast.Term, len(values))
	for i, value := range values {
		terms[i] = t.text(value)
	}
	return ast.ArrayTerm(terms...)
}

// kept is a map that is copied to be changed, a bounded number of times.
type kept[K comparable] struct {
	terms atomic.Pointer[map[K]*ast.Term]
}

func (k *kept[K]) get(key K) *ast.Term {
	known := k.terms.Load()
	if known == nil {
		return nil
	}
	return (*known)[key]
}

// add keeps the term if there is room. Two who add at once may lose one: it is added again.
func (k *kept[K]) add(key K, term *ast.Term) *ast.Term {
	known := k.terms.Load()
	next := map[K]*ast.Term{}
	if known != nil {
		if len(*known) >= mostTerms {
			return term
		}
		maps.Copy(next, *known)
	}
	next[key] = term
	k.terms.CompareAndSwap(known, &next)
	return term
}
