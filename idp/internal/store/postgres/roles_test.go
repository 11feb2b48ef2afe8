package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The role that serves can do everything that serving asks for, with the grants
// of the migrations alone.
func TestTheServiceRoleServes(t *testing.T) {
	_, service := separated(t)
	s := openURL(t, service)
	now := sampleTime
	o := idp.Organization{ID: "acme", Name: "Acme", Plan: idp.PlanFree, CreatedAt: now, UpdatedAt: now, Revision: 1}
	a := idp.Agent{ID: "agent", OrganizationID: "acme", Email: "a@example.com", Type: idp.TypeCustom, Version: "1.0.0", Owner: "o", Environment: "staging", Status: idp.Active, CreatedAt: now, UpdatedAt: now, Revision: 1}
	c := idp.Credential{ID: "credential", ClientID: "client", AgentID: "agent", OrganizationID: "acme", Status: idp.CredentialActive, Method: idp.MethodSecret, Version: 1, CreatedAt: now, SecretSetAt: now}
	k := store.Key{ID: "signer", Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{2}, CreatedAt: now}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, revoked := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeJTI, ID: "jti", Expires: now, Reason: "test", At: now})
		_, put := tx.Settings.PutIfAbsent(ctx, "name", "value")
		_, took := tx.StatusLists.Take(ctx, store.StatusListSize, now)
		return errors.Join(took,
			tx.Organizations.Insert(ctx, o), tx.Agents.Insert(ctx, a), tx.Credentials.Insert(ctx, c), tx.Keys.Insert(ctx, k), revoked, put,
			tx.Idempotency.Insert(ctx, store.IdempotencyRecord{IdempotencyKey: store.IdempotencyKey{AgentID: "agent", Path: "/", Key: "k"}, CreatedAt: now}),
			tx.Assertions.Use(ctx, "client", "jti", now), tx.Sidecars.Put(ctx, store.Sidecar{ID: "s", AgentID: "agent", OrganizationID: "acme", SeenAt: now}),
		)
	}))
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		verdicts, err := tx.Admissions.Admit(ctx, []store.Admission{{ClientID: "client", AgentID: "agent", Gate: store.GateVersion{Organization: 1, Agent: 1, Credential: 1}, KeyID: "signer", At: now}})
		require.Equal(t, []store.AdmissionResult{store.Admitted}, verdicts)
		return errors.Join(err,
			tx.Organizations.Update(ctx, o), tx.Agents.Update(ctx, a), tx.Credentials.Update(ctx, c), tx.Keys.SetStatus(ctx, "signer", store.KeyRetired, now),
			tx.Keys.Delete(ctx, "signer"), tx.Idempotency.Delete(ctx, store.IdempotencyKey{AgentID: "agent", Path: "/", Key: "k"}),
			pruned(tx.Revocations.Prune(ctx, now.Add(time.Hour), now)), pruned(tx.Idempotency.Prune(ctx, now.Add(time.Hour))), pruned(tx.Assertions.Prune(ctx, now.Add(time.Hour))),
			pruned(tx.StatusLists.Prune(ctx, now.Add(time.Hour))),
			tx.Sidecars.Put(ctx, store.Sidecar{ID: "s", AgentID: "agent", OrganizationID: "acme", SeenAt: now.Add(time.Minute)}))
	}))
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Maintain(t.Context(), now))
	steps, err := Status(t.Context(), service)
	require.NoError(t, err)
	require.NotEmpty(t, steps)
}

func pruned(_ bool, err error) error { return err }
