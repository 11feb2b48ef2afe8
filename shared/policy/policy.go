// Package policy asks OPA for decisions: one engine for the management API and
// for sidecars. A policy is a flat folder of Rego v1 files with an optional
// data.yaml; the answer is data.agentidp.authz.decision. Everything that is not
// a well-formed permission is a denial.
package policy

import (
	"slices"
	"time"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// Input is everything a policy can see. Missing strings are "", missing lists
// are []; the JSON names are the policy's. Strings must not change while a
// decision is being made.
type Input struct {
	Agent   Agent   `json:"agent"`
	Token   Token   `json:"token"`
	Request Request `json:"request"`
	Route   Route   `json:"route"`
	RPC     *RPC    `json:"rpc,omitempty"` // nil: the body is no message, or was not read
}

// Agent is the authenticated caller; zero on a public route without a token.
type Agent struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organizationId"`
	ClientID       string `json:"clientId"`
}

// Token is what the caller presented. Audience is always a list, also of one.
type Token struct {
	JTI       string   `json:"jti"`
	Audience  []string `json:"aud"`
	Scope     []string `json:"scope"`
	ExpiresAt int64    `json:"exp"` // Unix seconds
}

// Request is the HTTP request as it was judged: path without query.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	Peer   string `json:"peer"`
}

// Route is what the router matched. ID is the operationId at the management
// API (no slash) and the path pattern at a sidecar (always a slash). Capability
// is what the route demands; Public lets anyone through.
type Route struct {
	ID         string `json:"id"`
	Capability string `json:"capability"`
}

// RPC is the JSON-RPC message in the request's body, at sidecar routes that
// have a protocol. There two questions are asked, which must both be allowed:
// first with what the route demands, then, where the message demands more, with
// that in Route.Capability, such as mcp:tool/search.
type RPC struct {
	Protocol string `json:"protocol"` // mcp or a2a
	Method   string `json:"method"`   // "" of a response
	Name     string `json:"name"`     // of the tool or prompt, else ""
}

// Public is the capability of a route that demands nothing.
const Public = "public"

// Reasons of the built-in policy and of the engine. A policy may use others
// of the form [a-z][a-z0-9_]*, at most 64 bytes.
const (
	ReasonCapability        = "capability"
	ReasonSelf              = "self"
	ReasonPublic            = "public"
	ReasonCapabilityMissing = "capability_missing"
	ReasonNoRoute           = "no_route"
	ReasonError             = "policy_error"
	ReasonTimeout           = "policy_timeout"
	ReasonMissing           = "policy_missing" // there is no policy yet
)

// Obligations of the built-in policy: what an enforcement point must see to
// before it acts on a permission.
const (
	ObligationFields = "fields" // the only members a PATCH may touch
	ObligationTokens = "tokens" // "own": only tokens of the caller's own subject
)

// Decision is one answer. The zero value is a denial. Obligations are shared
// between callers: read only.
type Decision struct {
	Allow       bool           `json:"allow"`
	Reason      string         `json:"reason"`
	Obligations map[string]any `json:"obligations,omitempty"`
	Revision    string         `json:"-"` // of the policy that answered, for the audit record
}

// Fields is the obligation "fields": the members that may be touched. nil means all.
func (d Decision) Fields() []string {
	fields, _ := d.Obligations[ObligationFields].([]string)
	return fields
}

// OwnTokens is the obligation "tokens": only tokens of the caller's own subject.
func (d Decision) OwnTokens() bool {
	_, own := d.Obligations[ObligationTokens]
	return own
}

// misunderstood names an obligation that is not in understood, or is "".
func (d Decision) misunderstood(understood []string) string {
	for name := range d.Obligations {
		if !slices.Contains(understood, name) {
			return name
		}
	}
	return ""
}

// Unavailable is the denial of a policy that could not answer, with the error
// that goes with it: 503, reason ReasonError, ReasonTimeout or ReasonMissing.
func Unavailable(reason string, cause error) (Decision, error) {
	err := apierr.New(apierr.Unavailable, "the policy cannot decide now").WithReason(reason).WithCause(cause)
	if reason != ReasonError {
		err = err.WithRetryAfter(time.Second)
	}
	return Decision{Reason: reason}, err
}

// InputUse says which members of input.request a policy can read, whether it can
// read input.rpc and input.token.scope, and whether anything else that tells one
// caller or token from another: Identity. A decision depends on what it cannot
// read in no way; input.route is always read.
type InputUse struct{ Method, Host, Path, Peer, RPC, Scope, Identity bool }

// Options of an engine; zero values take the defaults.
type Options struct {
	Timeout     time.Duration // of one decision, default 50 ms
	TestTimeout time.Duration // of the policy's own unit tests together, default a minute
	// Sidecar leaves out what is in package agentidp.own, the rights that agents
	// have over themselves at the management API. The unit tests still see it.
	Sidecar bool
	Now     func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 50 * time.Millisecond
	}
	if o.TestTimeout <= 0 {
		o.TestTimeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
