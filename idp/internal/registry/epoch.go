package registry

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Reasons of feed entries that the registry makes.
const (
	reasonSuspended      = "agent_suspended"
	reasonDecommissioned = "agent_decommissioned"
	reasonCapability     = "capability_removed"
	reasonRevoked        = "credential_revoked"
	reasonRotated        = "credential_rotated"
)

// CutAgent raises the epoch in a, which the caller then writes, and tells the
// feed: every token of the agent minted so far is dead once tx commits.
func CutAgent(ctx context.Context, tx *store.Tx, a *idp.Agent, reason string, at time.Time) (idp.Revocation, error) {
	a.Epoch++
	return publish(ctx, tx, idp.Revocation{Type: idp.RevokeAgent, ID: a.ID, Epoch: a.Epoch, Reason: reason, At: at})
}

// CutCredential is CutAgent for the tokens of one credential. The feed names
// its client id, because that is what a token carries.
func CutCredential(ctx context.Context, tx *store.Tx, c *idp.Credential, reason string, at time.Time) (idp.Revocation, error) {
	c.Epoch++
	return publish(ctx, tx, idp.Revocation{Type: idp.RevokeCredential, ID: c.ClientID, Epoch: c.Epoch, Reason: reason, At: at})
}

// CutOrganization raises the stored epoch of an organization and tells the feed.
func CutOrganization(ctx context.Context, tx *store.Tx, id, reason string, at time.Time) (idp.Revocation, error) {
	epoch, err := tx.Organizations.RaiseEpoch(ctx, id)
	if err != nil {
		return idp.Revocation{}, err
	}
	return publish(ctx, tx, idp.Revocation{Type: idp.RevokeOrganization, ID: id, Epoch: epoch, Reason: reason, At: at})
}

func publish(ctx context.Context, tx *store.Tx, r idp.Revocation) (idp.Revocation, error) {
	seq, err := tx.Revocations.Append(ctx, r)
	r.Seq = seq
	return r, err
}
