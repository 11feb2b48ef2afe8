package registry_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func hash(body string) [32]byte { return sha256.Sum256([]byte(body)) }

var firstPage = store.Page{Number: 1, Limit: 20}

func TestCreateAgent(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	in := newAgent("Screener-001", "notes:write", "notes:read")
	in.Metadata = json.RawMessage(` { "team" : "x" } `)
	a, replayed, err := w.CreateAgent(w.ctx, w.root, in)
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, "screener-001@example.com", a.Email)
	require.Equal(t, "notes:read notes:write", a.Capabilities.String())
	require.JSONEq(t, `{"team":"x"}`, string(a.Metadata))
	require.Equal(t, idp.OperatorOrganization, a.OrganizationID)
	require.Equal(t, idp.Active, a.Status)
	require.Equal(t, w.now(), a.CreatedAt)
	require.Equal(t, int64(1), a.Revision)

	got, err := w.GetAgent(w.ctx, w.root, a.ID)
	require.NoError(t, err)
	require.Equal(t, a, got)

	e := w.happened(idp.ActionAgentCreated)[0]
	require.Equal(t, w.root.AgentID, e.AgentID)
	require.Equal(t, "192.0.2.7", e.IPAddress)
	require.Equal(t, a.ID, e.Metadata["targetAgentId"])
	require.NotContains(t, e.raw, "team\":\"x", "the metadata blob stays out of the log")

	_, _, err = w.CreateAgent(w.ctx, w.root, newAgent("SCREENER-001"))
	w.refused(err, apierr.AgentAlreadyExists, "email_taken")

	_, _, err = w.CreateAgent(w.ctx, w.root, registry.NewAgent{Capabilities: []string{"notes:read", "NOTES"}, Metadata: json.RawMessage(`[]`)})
	refusal := w.refused(err, apierr.ValidationFailed, "validation_failed")
	require.Equal(t, "email agentType version capabilities[1] owner deploymentEnv metadata", fields(refusal))

	_, err = w.GetAgent(w.ctx, w.root, "no-such-agent")
	w.refused(err, apierr.NotFound, "agent_not_found")
}

func TestEmailIsFreeAfterDecommission(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a")
	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{}))
	b := w.agent(w.root, "a")
	require.NotEqual(t, a.ID, b.ID)

	c := w.agent(w.root, "c")
	w.seen = len(w.events())
	_, err := w.UpdateAgent(w.ctx, w.root, c.ID, registry.AgentPatch{Email: ptr("A@example.com")})
	w.refused(err, apierr.AgentAlreadyExists, "email_taken")
}

func TestListAgents(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	for i := range 3 {
		w.pass(time.Second)
		w.agent(w.root, fmt.Sprintf("a%d", i), "notes:read")
	}
	w.pass(time.Second)
	gone := w.agent(w.root, "gone", "notes:write")
	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, gone.ID, registry.Decommission{}))

	list := func(q registry.AgentQuery, emails ...string) {
		t.Helper()
		if q.Page == (store.Page{}) {
			q.Page = firstPage
		}
		page, err := w.ListAgents(w.ctx, w.root, q)
		require.NoError(t, err)
		got := []string{}
		for _, a := range page.Agents {
			got = append(got, a.Email)
		}
		require.Equal(t, append([]string{}, emails...), got)
		if q.Page == firstPage {
			require.Equal(t, len(emails), page.Total)
		}
	}
	list(registry.AgentQuery{}, "a2@example.com", "a1@example.com", "a0@example.com", "admin@localhost")
	list(registry.AgentQuery{Page: store.Page{Number: 2, Limit: 3}}, "admin@localhost")
	list(registry.AgentQuery{Page: store.Page{Number: 9, Limit: 3}})
	list(registry.AgentQuery{Status: "decommissioned"}, "gone@example.com")
	list(registry.AgentQuery{Status: "suspended"})
	list(registry.AgentQuery{Type: "administrator"}, "admin@localhost")
	list(registry.AgentQuery{Owner: "team", Capability: "notes:read", Environment: "staging"}, "a2@example.com", "a1@example.com", "a0@example.com")
	list(registry.AgentQuery{Capability: "notes:*"})
	list(registry.AgentQuery{OrganizationID: "default", Owner: "nobody"})

	w.seen = len(w.events())
	_, err := w.ListAgents(w.ctx, w.root, registry.AgentQuery{Status: "x", Type: "x", Environment: "x", Capability: "x", Page: store.Page{Limit: 101}})
	require.Equal(t, "page limit status agentType deploymentEnv capability", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
}

func TestFreePlanCap(t *testing.T) {
	w := newWorld(t, idp.Limits{Agents: 3, Credentials: 20})
	a := w.agent(w.root, "a")
	w.agent(w.root, "b")
	w.seen = len(w.events())
	_, _, err := w.CreateAgent(w.ctx, w.root, newAgent("c"))
	require.Equal(t, 3, w.refused(err, apierr.FreeTierLimit, "agent_limit").Details["limit"])

	_, err = w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Status: ptr("suspended")})
	require.NoError(t, err)
	w.happened(idp.ActionAgentSuspended)
	_, _, err = w.CreateAgent(w.ctx, w.root, newAgent("c"))
	w.refused(err, apierr.FreeTierLimit, "agent_limit")
	_, err = w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Status: ptr("active")})
	require.NoError(t, err, "reactivation takes no new place")

	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{}))
	w.agent(w.root, "c")

	_, err = w.UpdateOrganization(w.ctx, w.root, "default", registry.OrganizationPatch{Plan: ptr("custom")})
	require.NoError(t, err)
	w.agent(w.root, "d")

	unlimited := newWorld(t, idp.Limits{})
	unlimited.agent(unlimited.root, "a")
}

func TestCreateAgentOnce(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	actor := keyed(w.root, "/api/v1/agents", "k1", "body")
	a, replayed, err := w.CreateAgent(w.ctx, actor, newAgent("a"))
	require.NoError(t, err)
	require.False(t, replayed)
	w.happened(idp.ActionAgentCreated)

	again, replayed, err := w.CreateAgent(w.ctx, actor, newAgent("a"))
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, a, again)
	w.happened()

	_, _, err = w.CreateAgent(w.ctx, keyed(w.root, "/api/v1/agents", "k1", "other"), newAgent("b"))
	w.refused(err, apierr.IdempotencyKeyReused, "idempotency_key_reused")
	require.Equal(t, 422, apierr.From(err).Code.Status())

	// Another path, another key and another caller are other requests.
	for i, other := range []registry.Actor{
		keyed(w.root, "/api/v1/other", "k1", "x"), keyed(w.root, "/api/v1/agents", "k2", "x"),
		keyed(w.actor(ptr(w.agent(w.root, "manager"))), "/api/v1/agents", "k1", "x"),
	} {
		_, replayed, err = w.CreateAgent(w.ctx, other, newAgent(fmt.Sprintf("o%d", i)))
		require.NoError(t, err)
		require.False(t, replayed)
	}
	w.seen = len(w.events())

	// A refused request leaves the key free.
	_, _, err = w.CreateAgent(w.ctx, keyed(w.root, "/api/v1/agents", "k3", "x"), newAgent("a"))
	w.refused(err, apierr.AgentAlreadyExists, "email_taken")
	_, _, err = w.CreateAgent(w.ctx, keyed(w.root, "/api/v1/agents", "k3", "y"), newAgent("c"))
	require.NoError(t, err)

	// After a day the key is as good as new, pruned or not.
	w.pass(24*time.Hour + time.Millisecond)
	_, replayed, err = w.CreateAgent(w.ctx, keyed(w.root, "/api/v1/agents", "k1", "other"), newAgent("d"))
	require.NoError(t, err)
	require.False(t, replayed)
	w.pass(24 * time.Hour)
	require.NoError(t, w.Prune(w.ctx))
	_, replayed, err = w.CreateAgent(w.ctx, keyed(w.root, "/api/v1/agents", "k1", "other"), newAgent("never"))
	require.NoError(t, err)
	require.True(t, replayed, "24 hours are not over yet")
	w.pass(time.Millisecond)
	require.NoError(t, w.Prune(w.ctx))
	w.view(func(tx *store.Tx) {
		_, err := tx.Idempotency.Get(w.ctx, store.IdempotencyKey{AgentID: w.root.AgentID, Path: "/api/v1/agents", Key: "k1"})
		require.ErrorIs(t, err, idp.ErrNotFound)
	})
}

func TestUpdateAgent(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	w.happened(idp.ActionAgentCreated)
	w.pass(time.Second)
	patch := registry.AgentPatch{
		Email: ptr("B@example.com"), Type: ptr("router"), Version: ptr("2.0.0"), Owner: ptr("other"), Environment: ptr("production"),
		Capabilities: &[]string{"notes:write", "notes:read"}, Metadata: json.RawMessage(`{"secret":"blob"}`),
	}
	b, err := w.UpdateAgent(w.ctx, w.root, a.ID, patch)
	require.NoError(t, err)
	require.Equal(t, "b@example.com", b.Email)
	require.Equal(t, idp.TypeRouter, b.Type)
	require.Equal(t, "2.0.0", b.Version)
	require.Equal(t, "other", b.Owner)
	require.Equal(t, idp.Environment("production"), b.Environment)
	require.Equal(t, w.now(), b.UpdatedAt)
	require.Equal(t, a.CreatedAt, b.CreatedAt)
	require.Equal(t, a.Revision+1, b.Revision)
	require.Equal(t, a.Epoch, b.Epoch, "adding a capability kills nothing")
	stored, err := w.GetAgent(w.ctx, w.root, a.ID)
	require.NoError(t, err)
	require.Equal(t, b, stored)

	e := w.happened(idp.ActionAgentUpdated)[0]
	require.Equal(t, []any{"email", "agentType", "version", "capabilities", "owner", "deploymentEnv", "metadata"}, e.Metadata["members"])
	require.Equal(t, []any{"notes:write"}, e.Metadata["capabilitiesAdded"])
	require.Equal(t, []any{}, e.Metadata["capabilitiesRemoved"])
	require.NotContains(t, e.raw, "blob")

	same, err := w.UpdateAgent(w.ctx, w.root, a.ID, patch)
	require.NoError(t, err)
	require.Equal(t, b, same, "nothing changed, nothing moves")
	w.happened()

	c, err := w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Metadata: json.RawMessage(`null`)})
	require.NoError(t, err)
	require.Nil(t, c.Metadata)
	w.happened(idp.ActionAgentUpdated)

	_, err = w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Email: ptr(""), Status: ptr("decommissioned"), Version: ptr("1"), Capabilities: &[]string{"x"}})
	require.Equal(t, "email version capabilities[0] status", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
	_, err = w.UpdateAgent(w.ctx, w.root, "none", registry.AgentPatch{})
	w.refused(err, apierr.NotFound, "agent_not_found")
}

func TestIfMatch(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a")
	w.happened(idp.ActionAgentCreated)
	version := 0
	match := func(header string, good bool) {
		t.Helper()
		version++
		b, err := w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Version: ptr(fmt.Sprintf("1.0.%d", version)), IfMatch: header})
		if !good {
			w.refused(err, apierr.PreconditionFailed, "precondition_failed")
			return
		}
		require.NoError(t, err)
		a = b
		w.happened(idp.ActionAgentUpdated)
	}
	match(registry.ETag(a.Revision), true)
	match(registry.ETag(a.Revision-1), false)
	match(`"x", `+registry.ETag(a.Revision), true)
	match("*", true)
	match("W/"+registry.ETag(a.Revision), false)
	match("1", false)

	err := w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{IfMatch: `"0"`})
	w.refused(err, apierr.PreconditionFailed, "precondition_failed")
	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{IfMatch: registry.ETag(a.Revision)}))
	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{IfMatch: registry.ETag(a.Revision)}), "the retry of a lost answer")
}

// cut asserts the newest of n entries in the feed.
func (w *world) cut(n int, kind idp.RevocationType, id string, epoch int64, reason string) {
	w.t.Helper()
	all := w.feed()
	require.Len(w.t, all, n)
	require.Equal(w.t, idp.Revocation{Seq: int64(n), Type: kind, ID: id, Epoch: epoch, Reason: reason, At: w.now()}, all[n-1])
}

func TestStatus(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read", "notes:write")
	w.happened(idp.ActionAgentCreated)
	patch := func(p registry.AgentPatch) idp.Agent {
		t.Helper()
		b, err := w.UpdateAgent(w.ctx, w.root, a.ID, p)
		require.NoError(t, err)
		return b
	}
	b := patch(registry.AgentPatch{Status: ptr("suspended")})
	require.Equal(t, idp.Suspended, b.Status)
	require.Equal(t, int64(1), b.Epoch)
	w.cut(1, idp.RevokeAgent, a.ID, 1, "agent_suspended")
	e := w.happened(idp.ActionAgentSuspended)[0]
	require.Equal(t, "active", e.Metadata["from"])
	require.Equal(t, "suspended", e.Metadata["to"])

	b = patch(registry.AgentPatch{Status: ptr("active")})
	require.Equal(t, int64(1), b.Epoch, "reactivation revives nothing and kills nothing")
	w.happened(idp.ActionAgentReactivated)

	b = patch(registry.AgentPatch{Capabilities: &[]string{"notes:*"}})
	require.Equal(t, int64(1), b.Epoch, "all old capabilities are still covered")
	b = patch(registry.AgentPatch{Capabilities: &[]string{"notes:read"}})
	require.Equal(t, int64(2), b.Epoch)
	w.cut(2, idp.RevokeAgent, a.ID, 2, "capability_removed")
	e = w.happened(idp.ActionAgentUpdated, idp.ActionAgentUpdated)[1]
	require.Equal(t, []any{"notes:*"}, e.Metadata["capabilitiesRemoved"])

	b = patch(registry.AgentPatch{Status: ptr("suspended"), Owner: ptr("x"), Capabilities: &[]string{}})
	require.Equal(t, int64(3), b.Epoch, "one change, one epoch")
	w.cut(3, idp.RevokeAgent, a.ID, 3, "agent_suspended")
	w.happened(idp.ActionAgentUpdated, idp.ActionAgentSuspended)
}

func TestDecommission(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	c1, c2 := w.credential(w.root, a.ID), w.credential(w.root, a.ID)
	w.seen = len(w.events())

	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{}))
	w.happened(idp.ActionAgentDecommissioned, idp.ActionCredentialRevoked, idp.ActionCredentialRevoked)
	all := w.feed()
	require.Len(t, all, 3)
	require.Equal(t, idp.Revocation{Seq: 1, Type: idp.RevokeAgent, ID: a.ID, Epoch: 1, Reason: "agent_decommissioned", At: w.now()}, all[0])
	require.ElementsMatch(t, []string{c1.ClientID, c2.ClientID}, []string{all[1].ID, all[2].ID})
	for _, id := range []string{c1.ID, c2.ID} {
		c, err := w.GetCredential(w.ctx, w.root, a.ID, id)
		require.NoError(t, err)
		require.Equal(t, idp.CredentialRevoked, c.Status)
		require.Equal(t, int64(1), c.Epoch)
	}

	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, a.ID, registry.Decommission{}))
	w.happened()
	for _, patch := range []registry.AgentPatch{{Status: ptr("active")}, {Version: ptr("9.9.9")}, {}} {
		_, err := w.UpdateAgent(w.ctx, w.root, a.ID, patch)
		w.refused(err, apierr.InvalidState, "agent_decommissioned")
	}
	gone, err := w.GetAgent(w.ctx, w.root, a.ID)
	require.NoError(t, err)
	require.Equal(t, idp.Decommissioned, gone.Status)
	require.Len(t, w.feed(), 3)
	w.refused(w.DecommissionAgent(w.ctx, w.root, "none", registry.Decommission{}), apierr.NotFound, "agent_not_found")
}

func TestUsage(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a")
	c := w.credential(w.root, a.ID)
	w.tx(w.db.Update, func(tx *store.Tx) {
		require.NoError(t, tx.Keys.Insert(w.ctx, store.Key{ID: "signer", Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{2}, CreatedAt: w.now()}))
		gate, err := tx.Credentials.Gate(w.ctx, c.ClientID)
		require.NoError(t, err)
		verdicts, err := tx.Admissions.Admit(w.ctx, []store.Admission{{ClientID: c.ClientID, AgentID: a.ID, Gate: gate.Version(), KeyID: "signer", At: w.now()}})
		require.NoError(t, err)
		require.Equal(t, []store.AdmissionResult{store.Admitted}, verdicts)
	})
	usage, err := w.GetUsage(w.ctx, w.root, a.ID)
	require.NoError(t, err)
	require.Equal(t, registry.Usage{
		AgentID: a.ID, Month: "2026-03", Tokens: 1, TokensLimit: 10_000, ResetsAt: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
	}, usage)
	w.seen = len(w.events())
	_, err = w.GetUsage(w.ctx, w.root, "none")
	w.refused(err, apierr.NotFound, "agent_not_found")

	w.clock.Store(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli())
	usage, err = w.GetUsage(w.ctx, w.root, a.ID)
	require.NoError(t, err)
	require.Zero(t, usage.Tokens)
	require.Equal(t, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), usage.ResetsAt)
}
