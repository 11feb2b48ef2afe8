package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// recordRefusal folds the refusal of somebody unknown into the audit log and
// returns it. What is not the caller's doing is no refusal.
func (a *API) recordRefusal(ctx context.Context, c *call, err error) error {
	refusal := apierr.From(err)
	if refusal.Code.Status() >= http.StatusInternalServerError {
		return err
	}
	if err := a.charge(c); err != nil {
		return err
	}
	event := a.event(c, idp.ActionRequestUnauthenticated, refusal.Reason)
	if recordErr := a.Log.Refuse(ctx, event); recordErr != nil {
		return recordErr
	}
	return err
}

// recordDenial makes the denial of somebody known durable and returns it. Both
// count, like all refusals, where operations do not: no event is for free.
func (a *API) recordDenial(ctx context.Context, c *call, refusal *apierr.Error) error {
	if err := a.charge(c); err != nil {
		return err
	}
	event := a.event(c, idp.ActionRequestDenied, refusal.Reason)
	event.Metadata["capability"] = c.route.Capability
	event.Metadata["policyRevision"] = a.Policy.Revision()
	if err := a.Log.Append(ctx, event); err != nil {
		return err
	}
	return refusal
}

// recordUseCase makes durable what a use case refused as a matter of authority,
// and returns it. Mistakes of the caller are for the log line alone.
func (a *API) recordUseCase(ctx context.Context, c *call, err error) error {
	refusal := apierr.From(err)
	if c.agentID == "" || c.route.access == byAnyone {
		return err
	}
	denied := refusal.Code.Status() == http.StatusForbidden || refusal.Code == apierr.LastAdministrator || refusal.Code == apierr.Unauthenticated ||
		refusal.Code == apierr.UnauthorizedClient || refusal.Reason == reasonOtherOrganization
	if !denied {
		return err
	}
	return a.recordDenial(ctx, c, refusal)
}

// reasonOtherOrganization is the registry's: what exists, but not for the caller.
const reasonOtherOrganization = "other_organization"

func (a *API) event(c *call, action idp.Action, reason string) idp.Event {
	event := idp.Event{
		OrganizationID: c.organizationID, AgentID: c.agentID, Action: action, Outcome: idp.Denied, Reason: reason, Origin: c.origin,
		Metadata: map[string]any{"operation": c.route.OperationID, "method": string(c.http.Method()), "path": clip(c.path, maxLoggedPath)},
	}
	if event.OrganizationID == "" {
		event.OrganizationID = idp.OperatorOrganization
	}
	if id := grants.ClaimedID(c.clientID); id != "" {
		event.Metadata["clientId"] = id
	}
	if c.jti != "" {
		event.Metadata["jti"] = c.jti
	}
	return event
}

const maxLoggedPath = 1024
