package grants

import (
	"context"
	"runtime"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/statuslist"
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
	JTI            string
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
	for range attempts {
		issued, verdict, err := h.attempt(ctx, &r, grant, c)
		if err != nil || verdict == store.Admitted {
			return issued, err
		}
	}
	return Issued{}, apierr.New(apierr.Overloaded, "the agent is being changed; try again").
		WithReason("gate_unstable").WithRetryAfter(time.Second)
}

// attempt runs the phases once. Authentication is among them: a secret that
// was rotated away meanwhile must not pass because it was good before.
func (h *Handler) attempt(ctx context.Context, r *Request, grant Grant, c *Caller) (Issued, store.AdmissionResult, error) {
	gate, err := h.options.Authenticator.Authenticate(ctx, r.Client.Attempt(c.Gone))
	c.AgentID, c.OrganizationID = gate.Agent.ID, gate.Organization.ID
	if err != nil {
		return Issued{}, "", h.Refuse(ctx, c, err)
	}
	if gate.Agent.Status != idp.Active {
		return Issued{}, "", h.refuseProven(ctx, c, r, apierr.New(apierr.UnauthorizedClient, "agent suspended").WithReason("agent_suspended"))
	}
	authorization, err := grant.Authorize(ctx, r, &gate)
	if err == nil {
		err = h.checkSize(authorization)
	}
	if err != nil {
		return Issued{}, "", h.refuseProven(ctx, c, r, err)
	}
	limit := h.options.Limits.On(gate.Organization.Plan).TokensPerMonth
	if h.options.Quota.Exceeded(ctx, gate.Agent.ID, limit, h.options.Now()) {
		return Issued{}, "", h.refuseProven(ctx, c, r, h.quotaExceeded())
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
	claims := issuance{h.claims(&gate, authorization), index}
	claims.Status, c.JTI = place, claims.JTI
	raw, verdict, err := h.mint(ctx, r, &gate, claims, c)
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

func errMintingFull() error {
	return apierr.New(apierr.Overloaded, "too many tokens are being issued").WithReason("minting_full").WithRetryAfter(time.Second)
}

func (h *Handler) checkSize(a Authorization) error {
	size := len(a.Scope.String()) + 2*len(h.options.Issuer) // in iss and in status
	for _, audience := range a.Audience {
		size += len(audience)
	}
	if size > maxVariable {
		return apierr.New(apierr.InvalidScope, "the token would be too long; ask for less scope or fewer resources").WithReason("token_too_long")
	}
	return nil
}

// issuance is a token on its way, and its index over all status lists.
type issuance struct {
	token.Claims
	index int64
}

func (h *Handler) claims(gate *store.Gate, a Authorization) token.Claims {
	now := h.options.Now()
	rev := gate.Rev()
	return token.Claims{
		Issuer: h.options.Issuer, Subject: a.Subject, Audience: a.Audience, ClientID: gate.Credential.ClientID,
		Scope: a.Scope.String(), IssuedAt: now.Unix(), ExpiresAt: now.Unix() + int64(h.options.TTL/time.Second), JTI: statuslist.NewTokenID(now),
		Organization: gate.Organization.ID, Rev: [3]int64{rev.Organization, rev.Agent, rev.Credential}, KID: h.options.Minter.ActiveKID(),
	}
}

// mint signs while the log admits; the signature is worth nothing unless admitted.
// The admission is due when the signature begins: both take about as long, and
// all who wait for a core until then are admitted in one commit.
func (h *Handler) mint(ctx context.Context, r *Request, gate *store.Gate, claims issuance, c *Caller) (raw string, verdict store.AdmissionResult, err error) {
	var unsigned error
	verdict, err = h.options.Log.Admit(ctx, h.admission(r, gate, claims.KID), h.issued(c, claims), func(due func() bool) {
		raw, unsigned = h.options.Minter.Mint(ctx, claims.Claims, due)
	})
	switch {
	case err != nil || verdict != store.Admitted:
		return "", verdict, err
	case unsigned != nil:
		return "", "", h.unsigned(ctx, c, claims.JTI, unsigned)
	}
	return raw, verdict, nil
}

func (h *Handler) admission(r *Request, gate *store.Gate, kid string) store.Admission {
	admission := store.Admission{
		ClientID: gate.Credential.ClientID, AgentID: gate.Agent.ID, Rev: gate.Rev(), CredentialVersion: gate.Credential.Version,
		KeyID: kid, At: idp.Time(h.options.Now()), MonthlyLimit: h.options.Limits.On(gate.Organization.Plan).TokensPerMonth,
	}
	if r.Client.Assertion != nil {
		admission.Assertion = r.Client.Assertion.Use()
	}
	return admission
}

// quotaExceeded waits until the next UTC calendar month.
func (h *Handler) quotaExceeded() error {
	now := h.options.Now().UTC()
	next := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	return apierr.New(apierr.QuotaExceeded, "the monthly number of tokens of this agent is used up").
		WithReason("quota_exceeded").WithRetryAfter(next.Sub(now))
}
