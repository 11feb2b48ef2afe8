package grants

import (
	"context"
	"runtime"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/token"
)

// Grant is what one grant type adds to the phases that all share.
type Grant interface {
	// Type is the value of grant_type, compared byte for byte.
	Type() string
	// Authorize says what the token is good for. The gate is of a caller who is
	// authenticated and active; r may hold anything well formed.
	Authorize(ctx context.Context, r *Request, gate *store.Gate) (Authorization, error)
}

// Authorization is what a token will say.
type Authorization struct {
	Subject  string
	Scope    capability.Set
	Audience []string // at least one
}

// Authenticator proves a client; see clientauth.
type Authenticator interface {
	// Recall is Authenticate from memory, for what the store will admit.
	Recall(a clientauth.Attempt) (store.Gate, bool)
	Authenticate(ctx context.Context, a clientauth.Attempt) (store.Gate, error)
}

// Minter signs tokens; see issuer.
type Minter interface {
	ActiveKID() string
	// Reload reads the keys again; another replica may have changed them.
	Reload(ctx context.Context) error
	// Mint calls begun when the token's turn to be signed has come; false: it is not wanted any more.
	Mint(ctx context.Context, c token.Claims, begun func() bool) (string, error)
}

// Indexes gives each token its place in a status list; see statuslist.
type Indexes interface {
	// Next is a place that no token had, and its index over all lists.
	Next(ctx context.Context) (index int64, place token.Status, err error)
}

// Log records and admits; see auditlog.
type Log interface {
	// Admit may wait for other admissions until what is done meanwhile is due.
	Admit(ctx context.Context, a store.Admission, e idp.Event, meanwhile auditlog.Meanwhile) (store.AdmissionResult, error)
	Commit(ctx context.Context, change auditlog.Change) error
	Append(ctx context.Context, events ...idp.Event) error
	Refuse(ctx context.Context, e idp.Event) error
}

// Options are the parts a Handler is made of; all but Now are required.
type Options struct {
	Issuer        string
	TTL           time.Duration // of a token, whole seconds
	Limits        idp.Limits
	Authenticator Authenticator
	Minter        Minter
	Indexes       Indexes
	Log           Log
	Grants        []Grant
	Quota         volatile.Quota // remembers refusals of the store; default: of this process
	Now           idp.Clock      // default time.Now
	// Concurrency bounds the tokens being minted at once, below what the minter
	// can hold: who is turned away for load must not have been admitted, counted
	// and recorded. Default 256 per core.
	Concurrency int
}

// Handler answers token requests. It is safe for concurrent use.
type Handler struct {
	options Options
	grants  map[string]Grant
	minting chan struct{} // one element per token being minted
}

// New makes a handler.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Quota == nil {
		o.Quota = local.New(o.Now)
	}
	if o.Concurrency <= 0 {
		o.Concurrency = runtime.GOMAXPROCS(0) * mintingPerCore
	}
	h := &Handler{options: o, grants: map[string]Grant{}, minting: make(chan struct{}, o.Concurrency)}
	for _, g := range o.Grants {
		h.grants[g.Type()] = g
	}
	return h
}

// Types lists the grant types offered, in the order they were given.
func (h *Handler) Types() []string {
	types := make([]string, len(h.options.Grants))
	for i, g := range h.options.Grants {
		types[i] = g.Type()
	}
	return types
}

// Caller is where a request comes from. The second half is filled on the way,
// for the request's one log line, also when the request is refused.
type Caller struct {
	Origin idp.Origin
	Gone   func() bool // whether the caller left; nil: never

	ClientID       string // as claimed
	AgentID        string // once the client is known
	OrganizationID string
	JTI            string // of the token that was, or may have been, admitted
}

// Issued is a token that may leave.
type Issued struct {
	AccessToken string
	ExpiresIn   int64 // seconds
	Scope       string
}

const (
	// attempts bounds how often a request starts over because its agent or
	// credential changed between authentication and admission.
	attempts = 3
	// maxVariable bounds scope, audience and issuer together, in bytes, so that
	// a token stays below token.MaxLength.
	maxVariable    = 5000
	mintingPerCore = 256
)

// Issue answers one token request. A token is returned only after its event is
// durable, in the transaction that found agent and credential unchanged.
func (h *Handler) Issue(ctx context.Context, w Wire, c *Caller) (Issued, error) {
	r, err := Parse(w)
	c.ClientID = r.Client.ID
	grant := h.grants[r.GrantType]
	switch {
	case err != nil:
	case grant == nil:
		err = apierr.New(apierr.UnsupportedGrantType, "this grant type is not offered").WithReason("unsupported_grant_type")
	case r.Client.Method == MethodNone:
		err = InvalidClient("no_credentials")
	}
	if err != nil {
		return Issued{}, h.Refuse(ctx, c, err)
	}
	if len(h.minting) == cap(h.minting) { // before anything is read or proved for it
		return Issued{}, errMintingFull()
	}
	attempt := r.Client.Attempt(c.Gone)
	if gate, held := h.options.Authenticator.Recall(attempt); held {
		// The client is taken for what it was. Admission finds out what changed, and
		// nobody is refused on that account.
		issued, verdict, err := h.attempt(ctx, &r, grant, c, &gate, true)
		if err != nil || verdict == store.Admitted {
			return issued, err
		}
	}
	for range attempts {
		// A secret that was rotated away meanwhile must not pass because it was good before.
		gate, err := h.options.Authenticator.Authenticate(ctx, attempt)
		c.AgentID, c.OrganizationID = gate.Agent.ID, gate.Organization.ID
		if err != nil {
			return Issued{}, h.Refuse(ctx, c, err)
		}
		issued, verdict, err := h.attempt(ctx, &r, grant, c, &gate, false)
		if err != nil || verdict == store.Admitted {
			return issued, err
		}
	}
	return Issued{}, apierr.New(apierr.Overloaded, "the agent is being changed; try again").
		WithReason("gate_unstable").WithRetryAfter(time.Second)
}

// attempt runs the phases after authentication once.
func (h *Handler) attempt(ctx context.Context, r *Request, grant Grant, c *Caller, gate *store.Gate, recalled bool) (Issued, store.AdmissionResult, error) {
	c.AgentID, c.OrganizationID = gate.Agent.ID, gate.Organization.ID
	limit := h.options.Limits.On(gate.Organization.Plan).TokensPerMonth
	authorization, err := h.authorize(ctx, r, grant, gate, limit)
	switch {
	case err != nil && recalled:
		return Issued{}, store.GateChanged, nil
	case err != nil:
		return Issued{}, "", h.refuseProven(ctx, c, r, err)
	}
	select {
	case h.minting <- struct{}{}:
		defer func() { <-h.minting }()
	default:
		return Issued{}, "", errMintingFull()
	}
	index, place, err := h.options.Indexes.Next(ctx)
	if err != nil {
		return Issued{}, "", err
	}
	claims := issuance{h.claims(gate, authorization), index}
	claims.Status, c.JTI = place, claims.JTI
	raw, verdict, err := h.mint(ctx, r, gate, claims, c)
	if err == nil && verdict != store.Admitted {
		c.JTI = "" // there is no such token
	}
	switch {
	case err != nil:
		return Issued{}, "", err
	case verdict == store.KeyChanged:
		if err := h.options.Minter.Reload(ctx); err != nil {
			return Issued{}, "", apierr.New(apierr.Unavailable, "tokens cannot be signed now").
				WithReason("signing_key_missing").WithRetryAfter(time.Second).WithCause(err)
		}
	case verdict == store.QuotaExceeded:
		h.options.Quota.Exceed(ctx, gate.Agent.ID, limit, h.options.Now())
		return Issued{}, "", h.refuseProven(ctx, c, r, h.quotaExceeded())
	case verdict == store.Replayed:
		return Issued{}, "", h.Refuse(ctx, c, clientauth.ErrReplayed())
	}
	return Issued{AccessToken: raw, ExpiresIn: claims.ExpiresAt - claims.IssuedAt, Scope: claims.Scope}, verdict, nil
}

func (h *Handler) authorize(ctx context.Context, r *Request, grant Grant, gate *store.Gate, limit int) (Authorization, error) {
	if gate.Agent.Status != idp.Active {
		return Authorization{}, apierr.New(apierr.UnauthorizedClient, "agent suspended").WithReason("agent_suspended")
	}
	authorization, err := grant.Authorize(ctx, r, gate)
	if err == nil {
		err = h.checkSize(authorization)
	}
	if err == nil && h.options.Quota.Exceeded(ctx, gate.Agent.ID, limit, h.options.Now()) {
		err = h.quotaExceeded()
	}
	return authorization, err
}

func errMintingFull() error {
	return apierr.New(apierr.Overloaded, "too many tokens are being issued").WithReason("minting_full").WithRetryAfter(time.Second)
}
