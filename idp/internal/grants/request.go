// Package grants is the token endpoint without HTTP: it reads a token request
// (RFC 6749), runs the phases that every grant shares, and lets the grant fill
// in its hooks. A grant cannot skip a phase.
package grants

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// Bounds of a token request.
const (
	MaxResources     = 16
	MaxResourceBytes = 1024
)

// Request is a token request that is well formed. Nothing in it is proved yet.
type Request struct {
	Client    Client
	GrantType string
	Scope     capability.Set // nil: none was asked for
	Resources []string       // RFC 8707, in order, without repeats
}

// Parse reads a token request once. The request is returned as far as it was
// understood even when it is refused, for the audit log.
func Parse(w Wire) (Request, error) {
	var r Request
	form := w.Form
	var err error
	if r.Client, err = w.Client(); err != nil {
		r.Client.ID = form.Get("client_id")
		return r, err
	}
	if err := w.Check("resource"); err != nil {
		return r, err
	}
	if r.GrantType = form.Get("grant_type"); r.GrantType == "" {
		return r, invalid("grant_type_missing", "grant_type is required")
	}
	if r.Scope, err = parseScope(form.Get("scope")); err != nil {
		return r, err
	}
	r.Resources, err = parseResources(form.all("resource"))
	return r, err
}

func parseScope(scope string) (capability.Set, error) {
	if scope == "" {
		return nil, nil
	}
	set, err := capability.ParseScope(scope)
	if err != nil {
		return nil, apierr.New(apierr.InvalidScope, "the scope holds something that is not a capability").WithReason("malformed_scope")
	}
	return set, nil
}

func parseResources(values []string) ([]string, error) {
	var resources []string
	for _, value := range values {
		if !IsResource(value) {
			return nil, invalidTarget("malformed_resource", "resource must be an absolute URI without fragment")
		}
		if !slices.Contains(resources, value) {
			resources = append(resources, value)
		}
	}
	if len(resources) > MaxResources {
		return nil, invalidTarget("too_many_resources", "too many resources")
	}
	return resources, nil
}

// IsResource reports whether value is an absolute URI without a fragment (RFC
// 8707 section 2), of a sensible length.
func IsResource(value string) bool {
	if len(value) > MaxResourceBytes || strings.ContainsFunc(value, notURI) {
		return false
	}
	u, err := url.Parse(value)
	return err == nil && u.Scheme != "" && u.User == nil && (u.Host != "" || u.Opaque != "")
}

// notURI reports characters that no URI holds outside its fragment (RFC 3986 section 2).
func notURI(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}#", r)
}

func invalidTarget(reason, description string) *apierr.Error {
	return apierr.New(apierr.InvalidTarget, "%s", description).WithReason(reason)
}
