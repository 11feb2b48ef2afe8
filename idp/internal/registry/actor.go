package registry

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// Actor is who asks, as authentication and policy established it.
type Actor struct {
	AgentID        string
	OrganizationID string
	ClientID       string
	Rev            idp.Rev // of the token, as JTI and KID
	JTI            string
	KID            string
	Capabilities   capability.Set // of the token's scope, not of the agent
	Only           []string       // JSON names of the members the actor may touch; nil: all
	Origin         idp.Origin
	Idempotency    *Idempotency // nil without an Idempotency-Key
}

// Idempotency identifies a POST that may be repeated.
type Idempotency struct {
	Key      string
	Path     string
	BodyHash [32]byte // SHA-256 of the body as received
}

// Event is an event of something the actor did, shown in the organization's log.
func (a *Actor) Event(action idp.Action, organizationID string, metadata map[string]any) idp.Event {
	return idp.Event{
		OrganizationID: organizationID, AgentID: a.AgentID, Action: action, Outcome: idp.Success,
		Origin: a.Origin, Metadata: metadata,
	}
}

// Because adds to an event's metadata the reason that the actor gave, if it gave one.
func Because(reason string, metadata map[string]any) map[string]any {
	if reason != "" {
		metadata["reason"] = reason
	}
	return metadata
}

// Live decides, on what tx sees, whether the actor's token is still good, and
// reads who holds it. A dead one is UNAUTHENTICATED with a reason for the audit log.
//
// A credential that was revoked or rotated without its tokens leaves them to
// their exp: only epochs, the agent's status, jti and kid count.
func (a *Actor) Live(ctx context.Context, tx *store.Tx) (store.Gate, error) {
	gate, err := tx.Credentials.Gate(ctx, a.ClientID)
	if errors.Is(err, idp.ErrNotFound) {
		return store.Gate{}, deadToken("client_unknown")
	}
	if err != nil {
		return store.Gate{}, err
	}
	listed, err := tx.Revocations.RevokedToken(ctx, a.JTI, a.KID)
	switch {
	case err != nil:
		return store.Gate{}, err
	case gate.Agent.ID != a.AgentID || gate.Organization.ID != a.OrganizationID:
		return store.Gate{}, deadToken("token_mismatch")
	case gate.Agent.Status == idp.Suspended:
		return store.Gate{}, deadToken("agent_suspended")
	case gate.Agent.Status != idp.Active:
		return store.Gate{}, deadToken("agent_decommissioned")
	case listed || !a.Rev.Live(gate.Rev()):
		return store.Gate{}, deadToken("token_revoked")
	}
	return gate, nil
}

func deadToken(reason string) error {
	return apierr.New(apierr.Unauthenticated, "the token is not active").WithReason(reason)
}

// Commit makes the actor's change and its events durable together, if the
// actor's token is still good in the very transaction: what was decided about
// it before may have been overtaken by a suspension that has been answered.
// Only what nobody asks for, a bootstrap or a reset, goes to the log past this.
func (a *Actor) Commit(ctx context.Context, log *auditlog.Log, change auditlog.Change) error {
	return log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		if _, err := a.Live(ctx, tx); err != nil {
			return nil, err
		}
		return change(ctx, tx)
	})
}
