package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// readForm decodes the form of an OAuth request.
func (c *call) readForm() (grants.Wire, error) {
	wire := grants.Wire{Authorization: c.headers("Authorization"), Query: c.rawQuery()}
	if err := httpx.CheckMedia(&c.http.Request.Header, formBody.media); err != nil {
		return wire, err
	}
	form, err := httpx.ParseForm(c.body)
	wire.Form = grants.Form(form)
	return wire, err
}

type tokenView struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
}

// issueToken is the token endpoint (RFC 6749 section 3.2).
func (a *API) issueToken(ctx context.Context, c *call) error {
	issued, err := a.grant(ctx, c)
	a.observe.token(err)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, tokenView{AccessToken: issued.AccessToken, TokenType: "Bearer", ExpiresIn: issued.ExpiresIn, Scope: issued.Scope})
}

func (a *API) grant(ctx context.Context, c *call) (grants.Issued, error) {
	caller := &grants.Caller{Origin: c.origin, Gone: c.gone}
	wire, err := c.readForm()
	if err != nil {
		return grants.Issued{}, a.Grants.Refuse(ctx, caller, err)
	}
	issued, err := a.Grants.Issue(ctx, wire, caller)
	c.clientID, c.agentID, c.organizationID, c.jti = caller.ClientID, caller.AgentID, caller.OrganizationID, caller.JTI
	return issued, err
}

// introspectToken is RFC 7662.
func (a *API) introspectToken(ctx context.Context, c *call) error {
	raw := c.form.Get("token")
	if raw == "" {
		return errNoToken()
	}
	state, err := a.Revocation.Introspect(ctx, c.tokenCaller(), raw)
	if err != nil {
		return err
	}
	c.inactive = !state.Active
	return c.answer(http.StatusOK, state)
}

// revokeToken is RFC 7009.
func (a *API) revokeToken(ctx context.Context, c *call) error {
	raw := c.form.Get("token")
	if raw == "" {
		return errNoToken()
	}
	if err := a.Revocation.Revoke(ctx, c.tokenCaller(), raw, c.form.Get("reason")); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

// errNoToken is for requests about no token. A token_type_hint is no help: it
// says where to look first, and there is one place.
func errNoToken() error {
	return apierr.New(apierr.InvalidRequest, "token is required").WithReason("token_parameter_missing")
}

// tokenCaller is who asks, by a token or, without one, by its credential.
func (c *call) tokenCaller() revocation.Caller {
	rev := c.rev
	if c.jti == "" {
		rev = c.gate.Rev()
	}
	return revocation.Caller{
		Actor:        registry.Actor{AgentID: c.agentID, OrganizationID: c.organizationID, ClientID: c.clientID, Rev: rev, JTI: c.jti, KID: c.kid, Origin: c.origin},
		Organization: !c.decision.OwnTokens(),
	}
}

// authorize is here because client libraries want its address in the metadata.
func (a *API) authorize(context.Context, *call) error {
	return apierr.New(apierr.UnsupportedResponseType, "this server issues tokens by client credentials only").WithReason("unsupported_response_type")
}
