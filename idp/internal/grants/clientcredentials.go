package grants

import (
	"context"
	"slices"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// Audiences are the resources that tokens can be for.
type Audiences struct {
	Issuer  string   // the management API's own audience
	Default string   // what no resource means; empty: Issuer
	Allowed []string // when not empty, the only resources besides Issuer
}

// For turns the resources of a request into the token's aud: exactly that
// list, compared byte for byte (RFC 8707 section 2).
func (a Audiences) For(resources []string) ([]string, error) {
	if len(resources) == 0 {
		if a.Default != "" {
			return []string{a.Default}, nil
		}
		return []string{a.Issuer}, nil
	}
	for _, resource := range resources {
		if resource == a.Issuer {
			if len(resources) > 1 {
				return nil, invalidTarget("issuer_combined", "the issuer cannot be combined with another resource")
			}
			continue
		}
		if len(a.Allowed) > 0 && !slices.Contains(a.Allowed, resource) {
			return nil, invalidTarget("resource_not_allowed", "the resource is unknown here")
		}
	}
	return resources, nil
}

// ClientCredentials is the grant of RFC 6749 section 4.4: the agent asks for itself.
type ClientCredentials struct{ Audiences Audiences }

// Type implements Grant.
func (ClientCredentials) Type() string { return "client_credentials" }

// Authorize implements Grant: no scope means every capability of the agent; a
// scope that no capability covers is refused, never narrowed.
func (g ClientCredentials) Authorize(_ context.Context, r *Request, gate *store.Gate) (Authorization, error) {
	held := gate.Agent.Capabilities
	authorization := Authorization{Subject: gate.Agent.ID, Scope: held}
	if r.Scope != nil {
		if !held.CoversAll(r.Scope) {
			return authorization, apierr.New(apierr.InvalidScope, "the scope is not covered by the capabilities of the agent").WithReason("scope_not_covered")
		}
		authorization.Scope = r.Scope
	}
	if authorization.Scope == nil {
		authorization.Scope = capability.Set{}
	}
	var err error
	authorization.Audience, err = g.Audiences.For(r.Resources)
	return authorization, err
}
