package revocation_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestCreate(t *testing.T) {
	w := newWorld(t)
	acme := w.organization("acme")
	a := w.client(acme, "a", "notes:read")
	w.mark()
	seq := int64(0)
	creates := func(by registry.Actor, kind, id string, want idp.Revocation, organizationID string) {
		t.Helper()
		seq++
		w.refresh(&by)
		want.Seq, want.Type, want.ID, want.Reason, want.At = seq, idp.RevocationType(kind), id, "revoked", w.now()
		got, replayed, err := w.Create(w.ctx, by, revocation.NewRevocation{Type: kind, ID: id, Reason: "incident 42"})
		require.NoError(t, err)
		require.False(t, replayed)
		require.Equal(t, want, got)
		require.Equal(t, want, w.entries()[seq-1])
		actions := []idp.Action{idp.ActionRevocationCreated}
		if kind == "kid" {
			actions = []idp.Action{idp.ActionKeyCreated, idp.ActionRevocationCreated}
		}
		events := w.happened(actions...)
		e := events[len(events)-1]
		require.Equal(t, "incident 42", e.Metadata["reason"], "the actor's own words are for the log")
		require.Equal(t, organizationID, e.OrganizationID)
		require.Equal(t, by.AgentID, e.AgentID)
		require.Equal(t, kind, e.Metadata["type"])
		require.Equal(t, id, e.Metadata["id"])
	}
	creates(acme, "agent", a.agent.ID, idp.Revocation{Epoch: 1}, "acme")
	creates(w.root, "agent", a.agent.ID, idp.Revocation{Epoch: 2}, "acme")
	creates(acme, "credential", a.credential.ClientID, idp.Revocation{Epoch: 1}, "acme")
	{ // by the id that the API lists it under, the entry is the same
		key := registry.Idempotency{Key: "k", Path: "/revocations"}
		acme := acme
		acme.Idempotency = &key
		for _, again := range []bool{false, true} {
			w.refresh(&acme)
			got, replayed, err := w.Create(w.ctx, acme, revocation.NewRevocation{Type: "credential", ID: a.credential.ID})
			require.NoError(t, err)
			require.Equal(t, again, replayed)
			require.Equal(t, idp.Revocation{Seq: seq + 1, Type: idp.RevokeCredential, ID: a.credential.ClientID, Epoch: 2, Reason: "revoked", At: w.now()}, got)
		}
		seq++
		require.Equal(t, a.credential.ClientID, w.happened(idp.ActionRevocationCreated)[0].Metadata["id"])
	}
	creates(acme, "organization", "acme", idp.Revocation{Epoch: 1}, "acme")
	creates(w.root, "organization", "acme", idp.Revocation{Epoch: 2}, "acme")
	creates(w.root, "jti", "00000000-0000-4000-8000-000000000000", idp.Revocation{Expires: w.now().Add(time.Hour + time.Second)}, "default")
	kid := w.kid()
	creates(w.root, "kid", kid, idp.Revocation{}, "default")

	// What is listed already is not listed twice.
	for _, in := range []revocation.NewRevocation{{Type: "kid", ID: kid}, {Type: "jti", ID: "00000000-0000-4000-8000-000000000000"}} {
		w.pass(time.Second)
		w.refresh(&w.root)
		got, _, err := w.Create(w.ctx, w.root, in)
		require.NoError(t, err)
		require.Less(t, got.Seq, seq+1)
	}
	w.happened()
	require.Len(t, w.entries(), int(seq))
}

func TestCreateRefused(t *testing.T) {
	w := newWorld(t)
	acme, rival := w.organization("acme"), w.organization("rival")
	auditor := w.client(acme, "auditor", "audit:read")
	w.mark()
	refused := func(by registry.Actor, kind, id string, code apierr.Code, reason string) {
		t.Helper()
		_, _, err := w.Create(w.ctx, by, revocation.NewRevocation{Type: kind, ID: id, Reason: "x"})
		require.Error(t, err)
		require.Equal(t, code, apierr.From(err).Code, err.Error())
		require.Equal(t, reason, apierr.From(err).Reason)
		w.happened()
	}
	officer := acme
	officer.Capabilities = []capabilityName{"revocations:write"}
	refused(officer, "agent", auditor.agent.ID, apierr.CapabilityCeiling, "capability_ceiling")
	refused(officer, "credential", auditor.credential.ClientID, apierr.CapabilityCeiling, "capability_ceiling")
	refused(officer, "organization", "acme", apierr.CapabilityCeiling, "capability_ceiling")

	refused(rival, "agent", auditor.agent.ID, apierr.NotFound, "other_organization")
	refused(rival, "credential", auditor.credential.ClientID, apierr.NotFound, "other_organization")
	refused(rival, "organization", "acme", apierr.NotFound, "other_organization")
	refused(acme, "kid", w.kid(), apierr.Forbidden, "operator_only")
	refused(acme, "kid", "none", apierr.Forbidden, "operator_only")
	refused(acme, "jti", "j", apierr.Forbidden, "operator_only")

	refused(acme, "agent", "none", apierr.NotFound, "agent_not_found")
	refused(rival, "credential", auditor.credential.ID, apierr.NotFound, "other_organization")
	refused(acme, "credential", "none", apierr.NotFound, "credential_not_found")
	refused(acme, "credential", "00000000-0000-4000-8000-000000000000", apierr.NotFound, "credential_not_found")
	refused(w.root, "organization", "none", apierr.NotFound, "organization_not_found")
	refused(w.root, "kid", "none", apierr.NotFound, "key_not_found")

	for _, in := range []revocation.NewRevocation{
		{Type: "user", ID: "", Reason: strings.Repeat("x", 257)}, {Type: "", ID: "a b", Reason: "ä"},
		{Type: "x", ID: strings.Repeat("a", 129), Reason: "a\nb"},
	} {
		_, _, err := w.Create(w.ctx, w.root, in)
		var fields []string
		for _, f := range apierr.From(err).Fields {
			fields = append(fields, f.Field)
		}
		require.Equal(t, []string{"type", "id", "reason"}, fields)
	}
	require.Empty(t, w.entries())
}

func TestCreateOnce(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	w.mark()
	keyed := func(key, body string) registry.Actor {
		by := w.root
		by.Idempotency = &registry.Idempotency{Key: key, Path: "/api/v1/revocations", BodyHash: sha256.Sum256([]byte(body))}
		return by
	}
	for _, in := range []revocation.NewRevocation{{Type: "agent", ID: a.agent.ID}, {Type: "jti", ID: "some-jti", Reason: "lost"}} {
		first, replayed, err := w.Create(w.ctx, keyed(in.Type, "1"), in)
		require.NoError(t, err)
		require.False(t, replayed)
		w.happened(idp.ActionRevocationCreated)
		w.pass(time.Hour)
		again, replayed, err := w.Create(w.ctx, keyed(in.Type, "1"), in)
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first, again)
		_, _, err = w.Create(w.ctx, keyed(in.Type, "2"), in)
		require.True(t, apierr.Is(err, apierr.IdempotencyKeyReused))
		w.happened()
	}
	require.Len(t, w.entries(), 2)
}

// A tenant learns nothing about another's token by its jti, listed or not.
func TestJTIIsForTheOperator(t *testing.T) {
	w := newWorld(t)
	rival, a := w.organization("rival"), w.client(w.organization("acme"), "a", "notes:read")
	claims := w.claims(a)
	raw := w.mint(claims)
	post := func(by registry.Actor) (idp.Revocation, error) {
		got, _, err := w.Create(w.ctx, by, revocation.NewRevocation{Type: "jti", ID: claims.JTI})
		return got, err
	}
	_, before := post(rival)
	require.True(t, w.active(a, raw))
	require.NoError(t, w.Revoke(w.ctx, a.own(), raw, ""))
	got, after := post(rival)
	require.Equal(t, idp.Revocation{}, got)
	for _, err := range []error{before, after} {
		require.Equal(t, "operator_only", apierr.From(err).Reason)
		require.Empty(t, apierr.From(err).Details)
	}
	require.Equal(t, before.Error(), after.Error())
	require.Len(t, w.entries(), 1)
	_, err := post(w.root)
	require.NoError(t, err)
}

// What was decided about the actor before its change ran does not bind.
func TestDeadActorsRevokeNothing(t *testing.T) {
	w := newWorld(t)
	a, victim := w.client(w.root, "a", w.root.Capabilities.Strings()...), w.client(w.root, "victim", "notes:read")
	claims := w.verified(w.claims(a))
	_, err := w.TokenLive(w.ctx, claims)
	require.NoError(t, err)
	by := w.actor(&a.agent, a.credential.ClientID)
	by.JTI = claims.JTI
	suspended := "suspended"
	_, err = w.registry.UpdateAgent(w.ctx, w.root, a.agent.ID, registry.AgentPatch{Status: &suspended})
	require.NoError(t, err)
	w.mark()
	before, kid := w.entries(), w.kid()
	for _, in := range []revocation.NewRevocation{
		{Type: "agent", ID: victim.agent.ID}, {Type: "credential", ID: victim.credential.ClientID},
		{Type: "organization", ID: "default"}, {Type: "jti", ID: "j"}, {Type: "kid", ID: kid},
	} {
		_, _, err := w.Create(w.ctx, by, in)
		require.True(t, apierr.Is(err, apierr.Unauthenticated), in.Type)
		require.Equal(t, "agent_suspended", apierr.From(err).Reason)
	}
	w.happened()
	require.Equal(t, before, w.entries())
	require.Equal(t, kid, w.kid())
}
