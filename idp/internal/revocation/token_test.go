package revocation_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func TestIntrospect(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read", "notes:write")
	claims := w.claims(a)
	claims.Audience = []string{"https://notes.example", "https://other.example"}
	raw := w.mint(claims)

	got, err := w.Introspect(w.ctx, a.own(), raw)
	require.NoError(t, err)
	body, err := json.Marshal(got)
	require.NoError(t, err)
	want, err := json.Marshal(map[string]any{
		"active": true, "scope": "notes:read notes:write", "client_id": a.credential.ClientID, "token_type": "Bearer",
		"exp": claims.ExpiresAt, "iat": claims.IssuedAt, "sub": a.agent.ID, "iss": issuerURL, "jti": claims.JTI,
		"org": "default", "aud": []string{"https://notes.example", "https://other.example"},
	})
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(body))

	single, err := json.Marshal(revocation.Introspection{Active: true, Audience: []string{"https://one.example"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"active":true,"aud":"https://one.example"}`, string(single))
}

func TestInactive(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(w.root, "a", "notes:read"), w.client(w.root, "b", "notes:read")
	acme := w.organization("acme")
	foreign := w.client(acme, "f", "notes:read")
	raw := w.token(a)
	inactive := func(caller revocation.Caller, raw string) {
		t.Helper()
		got, err := w.Introspect(w.ctx, caller, raw)
		require.NoError(t, err)
		body, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, `{"active":false}`, string(body))
	}
	active := func(caller revocation.Caller, raw string) {
		t.Helper()
		got, err := w.Introspect(w.ctx, caller, raw)
		require.NoError(t, err)
		require.True(t, got.Active)
	}

	active(a.own(), raw)
	inactive(b.own(), raw)
	active(b.all(), raw)
	inactive(foreign.all(), raw)
	inactive(b.all(), w.token(foreign)) // no way across organizations, not even for the operator
	for _, junk := range []string{
		"", ".", "..", "a.b.c", raw + "x", raw + ".", raw[:len(raw)-8], strings.Repeat("a", token.MaxLength+1), "e30.e30.e30",
		"e30.eyJhdWQiOiIifQ.e30", "e30.eyJhdWQiOjF9.e30", "e30.eyJhdWQiOlsiYSJdfQ.e30",
	} {
		inactive(a.all(), junk)
	}

	w.pass(time.Hour - time.Second)
	active(a.own(), raw)
	w.pass(time.Second)
	inactive(a.own(), raw) // at exp, although a verifier with leeway would take it

	lies := func(change func(*token.Claims)) {
		t.Helper()
		claims := w.claims(a)
		change(&claims)
		inactive(b.all(), w.mint(claims))
	}
	lies(func(c *token.Claims) { c.ClientID = "aidp_c_unknown" })
	lies(func(c *token.Claims) { c.Subject = b.agent.ID })
	lies(func(c *token.Claims) { c.Issuer = "https://evil.example" })
}

// dies mints a token, kills it and asserts how the live check and the
// introspection see it then; an empty reason says that it survives.
func (w *world) dies(name, reason string, kill func(victim client, raw string)) {
	w.t.Helper()
	victim := w.client(w.root, name, "notes:read", "notes:write")
	claims := w.claims(victim)
	raw, verified := w.mint(claims), w.verified(claims)
	gate, err := w.TokenLive(w.ctx, verified)
	require.NoError(w.t, err)
	require.Equal(w.t, victim.agent.ID, gate.Agent.ID)
	kill(victim, raw)
	require.Equal(w.t, reason == "", w.active(victim, raw), name)
	_, err = w.TokenLive(w.ctx, verified)
	if reason == "" {
		require.NoError(w.t, err)
		return
	}
	require.True(w.t, apierr.Is(err, apierr.Unauthenticated))
	require.Equal(w.t, reason, apierr.From(err).Reason)
}

func TestTokensDieWithTheAgent(t *testing.T) {
	w := newWorld(t)
	patch := func(v client, p registry.AgentPatch) {
		_, err := w.registry.UpdateAgent(w.ctx, w.root, v.agent.ID, p)
		require.NoError(t, err)
	}
	suspended, active := "suspended", "active"
	w.dies("suspend", "agent_suspended", func(v client, _ string) { patch(v, registry.AgentPatch{Status: &suspended}) })
	w.dies("reactivate", "token_revoked", func(v client, _ string) {
		patch(v, registry.AgentPatch{Status: &suspended})
		patch(v, registry.AgentPatch{Status: &active})
	})
	w.dies("decommission", "agent_decommissioned", func(v client, _ string) {
		require.NoError(t, w.registry.DecommissionAgent(w.ctx, w.root, v.agent.ID, registry.Decommission{}))
	})
	w.dies("strip", "token_revoked", func(v client, _ string) {
		patch(v, registry.AgentPatch{Capabilities: &[]string{"notes:read"}})
	})
	w.dies("widen", "", func(v client, _ string) {
		patch(v, registry.AgentPatch{Capabilities: &[]string{"notes:*"}})
	})
}

func TestTokensDieWithTheCredential(t *testing.T) {
	w := newWorld(t)
	revoke := func(v client, tokens bool) {
		require.NoError(t, w.registry.RevokeCredential(w.ctx, w.root, v.agent.ID, v.credential.ID, registry.CredentialRevocation{Tokens: tokens}))
	}
	rotate := func(v client, tokens bool) {
		_, err := w.registry.RotateCredential(w.ctx, w.root, v.agent.ID, v.credential.ID, registry.Rotation{RevokeTokens: tokens})
		require.NoError(t, err)
	}
	w.dies("revoke", "token_revoked", func(v client, _ string) { revoke(v, true) })
	w.dies("rotate", "token_revoked", func(v client, _ string) { rotate(v, true) })
	w.dies("revoke-only", "", func(v client, _ string) { revoke(v, false) })
	w.dies("rotate-only", "", func(v client, _ string) { rotate(v, false) })
}

func TestTokensDieByHand(t *testing.T) {
	w := newWorld(t)
	create := func(kind, id string) {
		_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: kind, ID: id})
		require.NoError(t, err)
		w.refresh(&w.root)
	}
	w.dies("token", "token_revoked", func(v client, raw string) { require.NoError(t, w.Revoke(w.ctx, v.own(), raw, "")) })
	w.dies("agent", "token_revoked", func(v client, _ string) { create("agent", v.agent.ID) })
	w.dies("credential", "token_revoked", func(v client, _ string) { create("credential", v.credential.ClientID) })
	w.dies("organization", "token_revoked", func(client, string) { create("organization", "default") })
	w.dies("key", "token_revoked", func(client, string) { create("kid", w.kid()) })
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(w.root, "a", "notes:read"), w.client(w.root, "b", "notes:read")
	foreign := w.client(w.organization("acme"), "f", "notes:read")
	claims := w.claims(a)
	raw, sibling := w.mint(claims), w.token(a)
	w.mark()

	for _, thief := range []revocation.Caller{b.own(), foreign.all()} {
		err := w.Revoke(w.ctx, thief, raw, "")
		require.True(t, apierr.Is(err, apierr.UnauthorizedClient))
		require.Equal(t, "token_foreign", apierr.From(err).Reason)
	}
	for _, junk := range []string{"", "junk", raw + "x", raw[:len(raw)-1]} {
		require.NoError(t, w.Revoke(w.ctx, a.own(), junk, ""))
	}
	w.happened()
	require.True(t, w.active(a, raw))

	require.NoError(t, w.Revoke(w.ctx, a.own(), raw, ""))
	e := w.happened(idp.ActionTokenRevoked)[0]
	require.Equal(t, "default", e.OrganizationID)
	require.Equal(t, a.agent.ID, e.AgentID)
	require.Equal(t, map[string]any{"jti": claims.JTI, "targetAgentId": a.agent.ID, "clientId": a.credential.ClientID}, e.Metadata)
	require.False(t, w.active(a, raw))
	require.True(t, w.active(a, sibling), "only that token dies")
	require.Equal(t, []idp.Revocation{{
		Seq: 1, Type: idp.RevokeJTI, ID: claims.JTI, Expires: time.Unix(claims.ExpiresAt, 0).UTC(), Reason: "token_revoked", At: w.now(),
	}}, w.entries())

	require.NoError(t, w.Revoke(w.ctx, a.own(), raw, ""), "again")
	w.happened()

	require.NoError(t, w.Revoke(w.ctx, b.all(), sibling, ""), "with authority over the organization")
	require.Equal(t, b.agent.ID, w.happened(idp.ActionTokenRevoked)[0].AgentID)

	w.pass(2 * time.Hour)
	require.NoError(t, w.Revoke(w.ctx, a.own(), raw, ""), "expired")
	w.happened()
}

// Whoever was cut off before the commit is too late, even if it was let in before.
func TestRevokeAsksAgainForItsCaller(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(w.root, "a", "notes:read"), w.client(w.root, "b", "notes:read")
	raw := w.token(a)
	_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "agent", ID: b.agent.ID})
	require.NoError(t, err)
	w.mark()
	err = w.Revoke(w.ctx, b.all(), raw, "")
	require.True(t, apierr.Is(err, apierr.Unauthenticated), err)
	require.Equal(t, "token_revoked", apierr.From(err).Reason)
	w.happened()
	require.True(t, w.active(a, raw))

	claims := w.claims(a)
	self := a.own()
	self.JTI, self.KID = claims.JTI, w.kid()
	raw = w.mint(claims)
	for range 2 {
		require.NoError(t, w.Revoke(w.ctx, self, raw, ""), "a token ends itself, and again")
	}
}

func TestRevokeAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	raw := w.token(a)
	w.mark()
	failures := make([]error, 20)
	var callers sync.WaitGroup
	for i := range failures {
		callers.Go(func() { failures[i] = w.Revoke(w.ctx, a.own(), raw, "") })
	}
	callers.Wait()
	require.NoError(t, errors.Join(failures...))
	w.happened(idp.ActionTokenRevoked)
	require.Len(t, w.entries(), 1)
}

// TestRevokeNeedsTheLog: no effect without its event, and the caller is told.
func TestRevokeNeedsTheLog(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	raw := w.token(a)
	w.stopLog()
	err := w.Revoke(w.ctx, a.own(), raw, "")
	require.True(t, apierr.Is(err, apierr.AuditUnavailable))
	require.True(t, w.active(a, raw))

	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err = w.Introspect(ended, a.own(), raw)
	require.ErrorIs(t, err, context.Canceled)
	require.Error(t, w.Revoke(ended, a.own(), raw, ""))
}

func TestStoreGone(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	raw := w.token(a)
	w.stopLog()
	require.NoError(t, w.db.Close())
	_, err := w.Introspect(w.ctx, a.own(), raw)
	require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
	err = w.Revoke(w.ctx, a.own(), raw, "")
	require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
	_, err = w.Poll(w.ctx, "", 0)
	require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
	_, err = revocation.Open(w.ctx, revocation.Options{DB: w.db})
	require.Error(t, err)
	require.True(t, apierr.Is(w.Prune(w.ctx), apierr.StoreUnavailable))
}
