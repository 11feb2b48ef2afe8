package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestCreateCredential(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	w.seen = len(w.events())
	expires := w.now().Add(time.Hour)
	c, err := w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{ExpiresAt: expires.Add(999 * time.Microsecond)})
	require.NoError(t, err)
	require.Regexp(t, `^aidp_c_[0-9A-Za-z]{22}$`, c.ClientID)
	require.True(t, clientauth.CheckFormat(c.ClientSecret))
	require.Equal(t, expires, c.ExpiresAt)
	require.Equal(t, "hash of "+c.ClientSecret, c.Secret.Encoded)

	got, err := w.GetCredential(w.ctx, w.root, a.ID, c.ID)
	require.NoError(t, err)
	require.Equal(t, c.Credential, got)
	listed, total, err := w.ListCredentials(w.ctx, w.root, a.ID, firstPage)
	require.NoError(t, err)
	require.Equal(t, 1, total)
	require.Equal(t, []idp.Credential{got}, listed)

	e := w.happened(idp.ActionCredentialCreated)[0]
	require.Equal(t, map[string]any{
		"targetAgentId": a.ID, "credentialId": c.ID, "clientId": c.ClientID, "authMethod": "client_secret", "expiresAt": "2026-03-01T13:00:00.000Z",
	}, e.Metadata)
	require.NotContains(t, e.raw, c.ClientSecret)

	_, err = w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{ExpiresAt: w.now()})
	require.Equal(t, "expiresAt", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
	_, err = w.CreateCredential(w.ctx, w.root, "none", registry.NewCredential{})
	w.refused(err, apierr.NotFound, "agent_not_found")
	_, _, err = w.ListCredentials(w.ctx, w.root, a.ID, store.Page{})
	require.Equal(t, "page limit", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
	_, err = w.GetCredential(w.ctx, w.root, a.ID, "none")
	w.refused(err, apierr.NotFound, "credential_not_found")

	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{}))
	w.seen = len(w.events())
	_, err = w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{})
	w.refused(err, apierr.InvalidState, "agent_decommissioned")
	_, err = w.RotateCredential(w.ctx, w.root, a.ID, c.ID, registry.Rotation{})
	w.refused(err, apierr.InvalidState, "agent_decommissioned")
	require.NoError(t, w.RevokeCredential(w.ctx, w.root, a.ID, c.ID, registry.CredentialRevocation{Tokens: true}))
	w.happened()
}

func TestCredentialLimit(t *testing.T) {
	w := newWorld(t, idp.Limits{Credentials: 2})
	a := w.agent(w.root, "a")
	first, err := w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{ExpiresAt: w.now().Add(time.Hour)})
	require.NoError(t, err)
	second := w.credential(w.root, a.ID)
	w.seen = len(w.events())
	hashes := w.hasher.calls.Load()
	_, err = w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{})
	require.Equal(t, 2, w.refused(err, apierr.InvalidState, "credential_limit").Details["limit"])
	require.Equal(t, hashes, w.hasher.calls.Load())

	require.NoError(t, w.RevokeCredential(w.ctx, w.root, a.ID, second.ID, registry.CredentialRevocation{Tokens: false}))
	w.credential(w.root, a.ID)
	w.pass(time.Hour)
	w.credential(w.root, a.ID) // the first has expired
	w.seen = len(w.events())
	_, err = w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{})
	w.refused(err, apierr.InvalidState, "credential_limit")
	_, err = w.RotateCredential(w.ctx, w.root, a.ID, first.ID, registry.Rotation{})
	w.refused(err, apierr.InvalidState, "credential_not_live")
}

func TestRevokeCredential(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	c := w.credential(w.root, a.ID)
	w.seen = len(w.events())
	stored := func() idp.Credential {
		t.Helper()
		got, err := w.GetCredential(w.ctx, w.root, a.ID, c.ID)
		require.NoError(t, err)
		return got
	}
	w.pass(time.Second)
	require.NoError(t, w.RevokeCredential(w.ctx, w.root, a.ID, c.ID, registry.CredentialRevocation{Tokens: false}))
	require.Equal(t, false, w.happened(idp.ActionCredentialRevoked)[0].Metadata["revokeTokens"])
	require.Equal(t, idp.CredentialRevoked, stored().Status)
	require.Equal(t, w.now(), stored().RevokedAt)
	require.Greater(t, stored().Version, c.Version, "caches let go")
	require.Zero(t, stored().Epoch, "its tokens live to their exp")
	require.Empty(t, w.feed())
	revokedAt := w.now()

	w.pass(time.Second)
	require.NoError(t, w.RevokeCredential(w.ctx, w.root, a.ID, c.ID, registry.CredentialRevocation{Tokens: false}))
	w.happened()
	require.NoError(t, w.RevokeCredential(w.ctx, w.root, a.ID, c.ID, registry.CredentialRevocation{Tokens: true}), "the tokens may follow")
	require.Equal(t, true, w.happened(idp.ActionCredentialRevoked)[0].Metadata["revokeTokens"])
	require.Equal(t, int64(1), stored().Epoch)
	require.Equal(t, revokedAt, stored().RevokedAt)
	require.Equal(t, []idp.Revocation{{Seq: 1, Type: idp.RevokeCredential, ID: c.ClientID, Epoch: 1, Reason: "credential_revoked", At: w.now()}}, w.feed())

	_, err := w.RotateCredential(w.ctx, w.root, a.ID, c.ID, registry.Rotation{})
	w.refused(err, apierr.InvalidState, "credential_not_live")
	w.refused(w.RevokeCredential(w.ctx, w.root, a.ID, "none", registry.CredentialRevocation{Tokens: false}), apierr.NotFound, "credential_not_found")
	w.refused(w.RevokeCredential(w.ctx, w.root, "none", c.ID, registry.CredentialRevocation{Tokens: false}), apierr.NotFound, "agent_not_found")
}

func TestRotateCredential(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	c := w.credential(w.root, a.ID)
	w.seen = len(w.events())
	self := holding(w.actor(&a)) // an agent rotates its own without any capability

	r, err := w.RotateCredential(w.ctx, self, a.ID, c.ID, registry.Rotation{OverlapSeconds: 60})
	require.NoError(t, err)
	require.Equal(t, c.ClientID, r.ClientID)
	require.NotEqual(t, c.ClientSecret, r.ClientSecret)
	require.Equal(t, "hash of "+r.ClientSecret, r.Secret.Encoded)
	require.Equal(t, "hash of "+c.ClientSecret, r.OverlapSecret(w.now().Add(59*time.Second)).Encoded)
	require.True(t, r.OverlapSecret(w.now().Add(time.Minute)).Zero())
	require.Zero(t, r.Epoch)
	require.Empty(t, w.feed())
	stored, err := w.GetCredential(w.ctx, w.root, a.ID, c.ID)
	require.NoError(t, err)
	require.Equal(t, stored, r.Credential)
	e := w.happened(idp.ActionCredentialRotated)[0]
	require.EqualValues(t, 60, e.Metadata["overlapSeconds"])
	require.NotContains(t, e.raw, r.ClientSecret)

	r, err = w.RotateCredential(w.ctx, w.root, a.ID, c.ID, registry.Rotation{RevokeTokens: true})
	require.NoError(t, err)
	require.True(t, r.OverlapSecret(w.now()).Zero())
	require.Equal(t, int64(1), r.Epoch)
	require.Equal(t, []idp.Revocation{{Seq: 1, Type: idp.RevokeCredential, ID: c.ClientID, Epoch: 1, Reason: "credential_rotated", At: w.now()}}, w.feed())
	w.happened(idp.ActionCredentialRotated)

	_, err = w.RotateCredential(w.ctx, w.root, a.ID, c.ID, registry.Rotation{OverlapSeconds: 604801})
	require.Equal(t, "overlapSeconds", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
	_, err = w.RotateCredential(w.ctx, w.root, a.ID, "none", registry.Rotation{})
	w.refused(err, apierr.NotFound, "credential_not_found")
}

func TestSecretsAreNeverReplayed(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a")
	actor := keyed(w.root, "/api/v1/agents/x/credentials", "k", "{}")
	c, err := w.CreateCredential(w.ctx, actor, a.ID, registry.NewCredential{})
	require.NoError(t, err)
	rotation := keyed(w.root, "/api/v1/agents/x/credentials/y/rotate", "k", "{}")
	_, err = w.RotateCredential(w.ctx, rotation, a.ID, c.ID, registry.Rotation{})
	require.NoError(t, err)
	founding := keyed(w.root, "/api/v1/organizations", "k", "{}")
	founded, err := w.CreateOrganization(w.ctx, founding, registry.NewOrganization{ID: "acme", Name: "Acme"})
	require.NoError(t, err)
	w.seen = len(w.events())
	hashes := w.hasher.calls.Load()

	never := func(err error, credentialID string) {
		t.Helper()
		require.Equal(t, credentialID, w.refused(err, apierr.InvalidState, "secret_not_replayed").Details["credentialId"])
	}
	_, err = w.CreateCredential(w.ctx, actor, a.ID, registry.NewCredential{})
	never(err, c.ID)
	_, err = w.RotateCredential(w.ctx, rotation, a.ID, c.ID, registry.Rotation{})
	never(err, c.ID)
	_, err = w.CreateOrganization(w.ctx, founding, registry.NewOrganization{ID: "acme", Name: "Acme"})
	never(err, founded.Credential.ID)
	_, err = w.CreateCredential(w.ctx, keyed(w.root, actor.Idempotency.Path, "k", "{ }"), a.ID, registry.NewCredential{})
	w.refused(err, apierr.IdempotencyKeyReused, "idempotency_key_reused")
	require.Equal(t, hashes, w.hasher.calls.Load())
}
