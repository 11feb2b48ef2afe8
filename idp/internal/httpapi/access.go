package httpapi

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
)

const realm = `realm="agentidp"`

// admit finds out who asks and whether policy lets them. A refusal of somebody
// unknown is folded into the audit log; one of somebody known is an event of
// its own, durable before the answer. Who asks with a token is counted here,
// when it is known whether the agent or the address pays.
func (a *API) admit(ctx context.Context, c *call) error {
	var err error
	switch c.route.access {
	case byAnyone:
		return nil
	case byClient:
		err = a.authenticateClient(ctx, c)
	default:
		err = a.authenticateToken(ctx, c)
	}
	if limited := a.limit(c); limited != nil {
		return limited
	}
	if err != nil && c.gate.Agent.ID != "" {
		return a.recordDenial(ctx, c, apierr.From(err))
	}
	if err != nil {
		return a.recordRefusal(ctx, c, err)
	}
	return a.permit(ctx, c)
}

// authenticateToken takes a bearer token from the Authorization field and from
// nowhere else (RFC 6750 section 2.1).
func (a *API) authenticateToken(ctx context.Context, c *call) error {
	raw, err := bearer(c)
	if err != nil {
		return err
	}
	claims, err := a.verifier.Verify(ctx, raw)
	var refusal *token.Error
	if errors.As(err, &refusal) {
		return badToken(c, string(refusal.Reason))
	}
	if err != nil {
		return err
	}
	// The signature holds: whose log a refusal belongs to is known from here on.
	c.agentID, c.organizationID, c.clientID, c.jti = claims.Subject, claims.Organization, claims.ClientID, claims.JTI
	gate, err := a.Revocation.TokenLive(ctx, claims)
	if apierr.Is(err, apierr.Unauthenticated) {
		return badToken(c, apierr.From(err).Reason)
	}
	if err != nil {
		return err
	}
	scope, err := capability.ParseScope(claims.Scope)
	if err != nil {
		return badToken(c, string(token.ClaimsInvalid))
	}
	c.identify(gate)
	c.bear(claims, scope)
	return nil
}

// bearer finds the token. Without one the challenge names no error (RFC 6750 section 3.1).
func bearer(c *call) (string, error) {
	fields := c.headers("Authorization")
	if len(fields) > 1 {
		c.set("WWW-Authenticate", "Bearer "+realm+`, error="invalid_request"`)
		return "", malformed(c, "Authorization", "must not be repeated")
	}
	if len(fields) == 0 || fields[0] == "" {
		c.set("WWW-Authenticate", "Bearer "+realm)
		return "", apierr.New(apierr.Unauthenticated, "an access token is required").WithReason("token_missing")
	}
	scheme, rest, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		c.set("WWW-Authenticate", "Bearer "+realm)
		return "", apierr.New(apierr.Unauthenticated, "the Bearer scheme is required").WithReason("wrong_scheme")
	}
	raw := strings.TrimLeft(rest, " ")
	if raw == "" || strings.ContainsAny(raw, " ,\t") {
		c.set("WWW-Authenticate", "Bearer "+realm+`, error="invalid_request"`)
		return "", malformed(c, "Authorization", "must be Bearer and one token")
	}
	return raw, nil
}

// malformed is a 400 in the words of the endpoint.
func malformed(c *call, field, rule string) *apierr.Error {
	if c.route.oauth {
		return apierr.New(apierr.InvalidRequest, "%s %s", field, rule).WithReason("malformed_" + strings.ToLower(field))
	}
	return invalidField(field, rule)
}

// badToken tells the caller that the token is no good, never why.
func badToken(c *call, reason string) error {
	c.set("WWW-Authenticate", "Bearer "+realm+`, error="invalid_token", error_description="the access token is not usable"`)
	return apierr.New(apierr.Unauthenticated, "the access token is not usable").WithReason(reason)
}

// authenticateClient takes a bearer token, or client authentication as at the
// token endpoint (RFC 7662 section 2.1, RFC 7009 section 2.1).
func (a *API) authenticateClient(ctx context.Context, c *call) error {
	wire, err := c.readForm()
	if err == nil {
		err = wire.Check()
	}
	if err != nil {
		return err
	}
	c.form = wire.Form
	for _, field := range wire.Authorization {
		if scheme, _, _ := strings.Cut(field, " "); strings.EqualFold(scheme, "Bearer") {
			if c.form.Get("client_secret") != "" || c.form.Get("client_assertion") != "" {
				return apierr.New(apierr.InvalidRequest, "more than one authentication method").WithReason("two_auth_methods")
			}
			return a.authenticateToken(ctx, c)
		}
	}
	client, err := wire.Client()
	c.clientID = client.ID
	if err == nil && client.Method == grants.MethodNone {
		err = grants.InvalidClient("no_credentials")
	}
	if err != nil {
		return err
	}
	gate, err := a.Clients.Authenticate(ctx, client.Attempt(c.gone))
	c.agentID, c.organizationID = gate.Agent.ID, gate.Organization.ID
	if err == nil && client.Assertion != nil {
		err = a.Log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
			return nil, client.Assertion.Spend(ctx, tx)
		})
	}
	if err != nil {
		return err
	}
	c.identify(gate)
	if gate.Agent.Status != idp.Active {
		return apierr.New(apierr.UnauthorizedClient, "agent suspended").WithReason("agent_suspended")
	}
	c.scope = gate.Agent.Capabilities
	c.token = policy.Token{Audience: []string{a.Issuer}, Scope: c.scope.Strings()}
	return nil
}

// Requests that are decided on take turns, on half of the cores: a crowd of them
// is then in this line, and not before the tokens and proofs that need a core too.
const waitingDecisions = 1024

func decisionsAtOnce() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func (a *API) decide(ctx context.Context, c *call) (policy.Decision, error) {
	if err := a.deciding.Enter(ctx); err != nil {
		return policy.Decision{}, apierr.New(apierr.Overloaded, "too many requests wait for a decision").
			WithReason("decision_busy").WithRetryAfter(time.Second).WithCause(err)
	}
	defer a.deciding.Leave()
	return a.Policy.Decide(ctx, policy.Input{
		Agent:   policy.Agent{ID: c.agentID, OrganizationID: c.organizationID, ClientID: c.clientID},
		Token:   c.token,
		Request: policy.Request{Method: string(c.http.Method()), Host: string(c.http.Host()), Path: c.path, Peer: c.origin.IPAddress},
		Route:   policy.Route{ID: c.route.OperationID, Capability: c.route.Capability},
	}, c.route.obligations...)
}

// permit asks policy. Obligations that the operation does not see to make a denial.
func (a *API) permit(ctx context.Context, c *call) error {
	decision, err := a.decide(ctx, c)
	c.decision = decision
	if err != nil || decision.Allow {
		return err
	}
	c.set("WWW-Authenticate", "Bearer "+realm+`, error="insufficient_scope", scope="`+c.route.Capability+`"`)
	refusal := apierr.New(apierr.Forbidden, "the operation needs a capability that the token does not carry").
		WithReason(decision.Reason).WithDetail("reason", decision.Reason)
	return a.recordDenial(ctx, c, refusal)
}
