package revocation_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// issue records n tokens of the client, minted now, and returns the last one's jti.
func (w *world) issue(c client, n int) (jti string) {
	w.t.Helper()
	claims := w.claims(c)
	require.NoError(w.t, w.log.Commit(w.ctx, func(context.Context, *store.Tx) ([]idp.Event, error) {
		events := []idp.Event{}
		for range n {
			jti = uuid.NewString()
			events = append(events, idp.Event{
				OrganizationID: c.agent.OrganizationID, AgentID: c.agent.ID, Action: idp.ActionTokenIssued, Outcome: idp.Success,
				Metadata: map[string]any{
					"jti": jti, "exp": claims.ExpiresAt, "kid": w.kid(), "clientId": c.credential.ClientID,
					"rev": []any{claims.Rev[0], claims.Rev[1], claims.Rev[2]},
				},
			})
		}
		return events, nil
	}))
	return jti
}

func (w *world) previews(subject revocation.NewRevocation, live int64, bound revocation.Bound) {
	w.t.Helper()
	preview, err := w.Preview(w.ctx, w.root, subject)
	require.NoError(w.t, err)
	require.Equal(w.t, live, preview.LiveTokens, subject.Type)
	require.Equal(w.t, bound, preview.Bound, subject.Type)
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.root, "a", "notes:read")
	other, err := w.registry.CreateCredential(w.ctx, w.root, c.agent.ID, registry.NewCredential{})
	require.NoError(t, err)
	second := client{c.agent, other}
	agent := revocation.NewRevocation{Type: "agent", ID: c.agent.ID}
	credential := revocation.NewRevocation{Type: "credential", ID: c.credential.ID}
	organization := revocation.NewRevocation{Type: "organization", ID: c.agent.OrganizationID}
	key := revocation.NewRevocation{Type: "kid", ID: w.kid()}

	w.issue(c, 2)
	w.issue(second, 3)
	w.previews(agent, 5, revocation.Exact)
	w.previews(credential, 2, revocation.Exact)
	w.previews(organization, 5, revocation.AtMost)
	w.previews(key, 5, revocation.AtMost)

	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "jti", ID: w.issue(c, 1)})
	require.NoError(t, err)
	w.previews(agent, 5, revocation.Exact)

	w.pass(30 * time.Minute)
	w.issue(c, 1)
	w.pass(31 * time.Minute)
	w.previews(agent, 1, revocation.Exact)
	w.previews(organization, 1, revocation.AtMost)

	// Of very many the newest are looked at, or else the minutes are summed.
	w.issue(second, 1)
	w.issue(c, 1200)
	w.previews(agent, 1000, revocation.AtLeast)
	w.previews(credential, 1000, revocation.AtLeast)
	w.previews(organization, 1202, revocation.AtMost)
	w.previews(key, 1202, revocation.AtMost)

	// Behind a token that is dead with its agent there are no live ones.
	_, _, err = w.Create(w.ctx, w.root, agent)
	require.NoError(t, err)
	w.previews(agent, 0, revocation.Exact)
	w.issue(c, 4)
	w.previews(agent, 4, revocation.Exact)
	_, _, err = w.Create(w.ctx, w.root, organization)
	require.NoError(t, err)
	w.previews(organization, 0, revocation.AtMost)
	w.refresh(&w.root)
	_, _, err = w.Create(w.ctx, w.root, key)
	require.NoError(t, err)
	w.previews(key, 0, revocation.Exact)
}
