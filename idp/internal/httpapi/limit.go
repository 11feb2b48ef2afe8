package httpapi

import (
	"strings"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/ratelimit"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// limit counts a request of an operation that is under the rate limit.
func (a *API) limit(c *call) error {
	if !c.route.limited() || !strings.HasPrefix(c.path, prefix+"/") {
		return nil
	}
	return a.charge(c)
}

// charge counts the request, once. Those past the limit get no event of their
// own in the audit log.
func (a *API) charge(c *call) error {
	if c.charged || a.Limiter == nil {
		return nil
	}
	c.charged = true
	key, event := c.payer()
	verdict := a.Limiter.Allow(key)
	for _, header := range ratelimit.Headers(verdict, a.Now()) {
		c.set(header.Name, header.Value)
	}
	if verdict.Allowed {
		return nil
	}
	a.Log.Count(event)
	c.http.Response.Header.Del("WWW-Authenticate") // of the refusal that this one replaces
	return apierr.New(apierr.RateLimited, "too many requests").WithReason("rate_limited").WithRetryAfter(verdict.RetryAfter)
}

// payer is whom a request counts against, with the event of one too many: on
// the custom plan the agent once it is known, else the address (IPv6: its /64).
func (c *call) payer() (key string, event idp.Event) {
	event = idp.Event{
		OrganizationID: idp.OperatorOrganization, Action: idp.ActionRequestRateLimited, Outcome: idp.Denied, Reason: "rate_limited", Origin: c.origin,
	}
	if c.gate.Organization.Plan != idp.PlanCustom {
		return httpx.AddressPrefix(c.address), event
	}
	event.OrganizationID, event.AgentID = c.organizationID, c.agentID
	return "agent " + c.agentID, event
}
