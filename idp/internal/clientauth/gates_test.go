package clientauth_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// What is recalled was proven and read before; whatever ended or changed since
// is recalled once at most after it was read again.
func TestRecall(t *testing.T) {
	w := newWorld(t, nil)
	attempt := clientauth.Attempt{ClientID: w.credential.ClientID, Secret: right}
	recall := func(attempt clientauth.Attempt) (store.Gate, bool) {
		w.auth.Settle()
		return w.auth.Recall(attempt)
	}
	none := func(attempt clientauth.Attempt, why string) {
		t.Helper()
		gate, held := recall(attempt)
		require.False(t, held, why)
		require.Empty(t, gate, why)
	}
	none(attempt, "nothing was proven")
	w.agent.Metadata, w.agent.JWKS = json.RawMessage(`{"a":1}`), json.RawMessage(`{"keys":[]}`)
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, w.agent) })
	w.agent.Revision++
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)

	gate, held := recall(attempt)
	require.True(t, held)
	require.Equal(t, w.agent.Capabilities, gate.Agent.Capabilities)
	require.Equal(t, idp.OperatorOrganization, gate.Organization.ID)
	require.Nil(t, gate.Agent.Metadata, "documents may be large")
	require.Nil(t, gate.Agent.JWKS)
	require.Zero(t, w.hasher.since(func() { _, held = recall(attempt) }))
	require.True(t, held)

	none(clientauth.Attempt{ClientID: attempt.ClientID, Secret: right + "x"}, "another secret")
	none(clientauth.Attempt{ClientID: clientauth.NewClientID(), Secret: right}, "another client")
	none(clientauth.Attempt{ClientID: attempt.ClientID, Secret: right, Assertion: &clientauth.Assertion{}}, "an assertion is checked each time")
	w.refused(clientauth.ReasonSecretWrong, attempt.ClientID, right+"x")
	_, held = recall(attempt)
	require.True(t, held, "an impostor does not make it forget")

	w.setStatus(idp.Suspended)
	before, held := recall(attempt)
	require.True(t, held, "nobody told")
	require.Zero(t, w.accepted(right))
	after, held := recall(attempt)
	require.True(t, held)
	require.Equal(t, idp.Suspended, after.Agent.Status)
	require.NotEqual(t, before.Version(), after.Version(), "which is how the store tells them apart")
	w.setStatus(idp.Active)

	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = w.now().Add(time.Minute) })
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)
	_, held = recall(attempt)
	require.True(t, held)
	w.forward(time.Minute)
	none(attempt, "it expired")

	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = time.Time{} })
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)
	w.changeCredential(func(c *idp.Credential) { c.Revoke(w.now()) })
	_, held = recall(attempt)
	require.True(t, held, "nobody told")
	w.refused(clientauth.ReasonCredentialRevoked, attempt.ClientID, right)
	none(attempt, "it was seen to be revoked")
}
