package grants

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/statuslist"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

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
		ClientID: gate.Credential.ClientID, AgentID: gate.Agent.ID, Gate: gate.Version(),
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
