package registry_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestCeilingOnGrants(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	manager := holding(w.root, "agents:write", "agents:read")
	create := func(capabilities ...string) error {
		_, _, err := w.CreateAgent(w.ctx, manager, newAgent("x", capabilities...))
		return err
	}
	err := create("notes:read", "audit:read", "agents:*")
	refusal := w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
	require.Equal(t, []string{"agents:*", "audit:read"}, refusal.Details["missing"])
	w.refused(create("*:*", "tokens:revoke"), apierr.CapabilityCeiling, "capability_ceiling")
	require.NoError(t, create("*:*", "notes:read", "agents:read", "agents:write"))
	w.happened(idp.ActionAgentCreated)

	auditor := w.agent(w.root, "auditor", "audit:read", "notes:read")
	w.happened(idp.ActionAgentCreated)
	patch := func(capabilities ...string) error {
		_, err := w.UpdateAgent(w.ctx, manager, auditor.ID, registry.AgentPatch{Capabilities: &capabilities})
		return err
	}
	w.refused(patch("audit:*"), apierr.CapabilityCeiling, "capability_ceiling")
	w.refused(patch("notes:read"), apierr.CapabilityCeiling, "capability_ceiling")
	require.NoError(t, patch("audit:read", "notes:*", "agents:read"), "what stays is neither given nor taken")
	w.happened(idp.ActionAgentUpdated)
}

// Whoever makes an agent lose any capability ends its tokens, and with them,
// until it fetches others, all its power.
func TestCeilingOnTokens(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	manager := holding(w.root, "agents:write")
	second := w.agent(w.root, "second", w.root.Capabilities.Strings()...)
	plain := w.agent(w.root, "plain", "notes:read")
	w.seen = len(w.events())
	patch := func(by registry.Actor, a idp.Agent, capabilities ...string) error {
		_, err := w.UpdateAgent(w.ctx, by, a.ID, registry.AgentPatch{Capabilities: &capabilities})
		return err
	}
	held := second.Capabilities.Strings()
	require.NoError(t, patch(manager, second, append(held, "x:y")...))
	w.happened(idp.ActionAgentUpdated)
	refusal := w.refused(patch(manager, second, held...), apierr.CapabilityCeiling, "capability_ceiling")
	require.NotEmpty(t, refusal.Details["missing"])
	require.Empty(t, w.feed())
	now, err := w.GetAgent(w.ctx, w.root, second.ID)
	require.NoError(t, err)
	require.Equal(t, second.Epoch, now.Epoch)

	require.NoError(t, patch(w.root, second, held...), "who holds as much may")
	require.NoError(t, patch(manager, plain), "and anybody where there is no power")
	require.Len(t, w.feed(), 2)
}

func TestCeilingOnStatusAndCredentials(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	auditor := w.agent(w.root, "auditor", "audit:read")
	credential := w.credential(w.root, auditor.ID)
	suspended := w.agent(w.root, "suspended", "audit:read")
	_, err := w.UpdateAgent(w.ctx, w.root, suspended.ID, registry.AgentPatch{Status: ptr("suspended")})
	require.NoError(t, err)
	w.seen = len(w.events())
	hashes := w.hasher.calls.Load()

	manager := holding(w.root, "agents:*", "credentials:*")
	_, err = w.UpdateAgent(w.ctx, manager, auditor.ID, registry.AgentPatch{Status: ptr("suspended")})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
	_, err = w.UpdateAgent(w.ctx, manager, suspended.ID, registry.AgentPatch{Status: ptr("active")})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
	w.refused(w.DecommissionAgent(w.ctx, manager, auditor.ID, registry.Decommission{}), apierr.CapabilityCeiling, "capability_ceiling")
	_, err = w.CreateCredential(w.ctx, manager, auditor.ID, registry.NewCredential{})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
	_, err = w.RotateCredential(w.ctx, manager, auditor.ID, credential.ID, registry.Rotation{})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
	w.refused(w.RevokeCredential(w.ctx, manager, auditor.ID, credential.ID, registry.CredentialRevocation{Tokens: false}), apierr.CapabilityCeiling, "capability_ceiling")
	require.Equal(t, hashes, w.hasher.calls.Load(), "a refusal costs no hash")

	_, err = w.UpdateAgent(w.ctx, manager, auditor.ID, registry.AgentPatch{Owner: ptr("other")})
	require.NoError(t, err, "members that give no power are not under the ceiling")
	holder := holding(w.root, "agents:*", "credentials:*", "audit:*")
	_, err = w.RotateCredential(w.ctx, holder, auditor.ID, credential.ID, registry.Rotation{})
	require.NoError(t, err)
	_, err = w.UpdateAgent(w.ctx, holder, auditor.ID, registry.AgentPatch{Status: ptr("suspended")})
	require.NoError(t, err)

	// A narrow token of an agent with power must not win its whole power back.
	self := holding(w.actor(&auditor), "notes:read")
	w.seen = len(w.events())
	_, err = w.RotateCredential(w.ctx, self, auditor.ID, credential.ID, registry.Rotation{})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
}

func TestOperatorCapabilitiesStayAtHome(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	acme := w.organization("acme")
	w.seen = len(w.events())
	for _, c := range []string{"keys:read", "keys:*", "organizations:read", "policies:write", "policies:*"} {
		in := newAgent("x", c, "notes:read")
		_, _, err := w.CreateAgent(w.ctx, acme, in)
		w.refused(err, apierr.CapabilityCeiling, "operator_capability")
		in.OrganizationID = "acme"
		_, _, err = w.CreateAgent(w.ctx, w.root, in)
		refusal := w.refused(err, apierr.CapabilityCeiling, "operator_capability")
		require.Equal(t, []string{c}, refusal.Details["capabilities"])
	}
	w.agent(acme, "reader", "policies:read")
	w.agent(w.root, "keeper", "keys:*", "policies:write")
	w.seen = len(w.events())
	a := w.agent(acme, "plain")
	w.happened(idp.ActionAgentCreated)
	_, err := w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Capabilities: &[]string{"keys:read"}})
	w.refused(err, apierr.CapabilityCeiling, "operator_capability")
}

func TestLastAdministrator(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	ways := map[string]func(id string) error{
		"suspend": func(id string) error {
			_, err := w.UpdateAgent(w.ctx, w.root, id, registry.AgentPatch{Status: ptr("suspended")})
			return err
		},
		"strip": func(id string) error {
			_, err := w.UpdateAgent(w.ctx, w.root, id, registry.AgentPatch{Capabilities: &[]string{"agents:*", "credentials:*"}})
			return err
		},
		"decommission": func(id string) error { return w.DecommissionAgent(w.ctx, w.root, id, registry.Decommission{}) },
	}
	for name, way := range ways {
		w.refused(way(w.root.AgentID), apierr.LastAdministrator, "last_administrator")
		second := w.agent(w.root, "second-"+name, w.root.Capabilities.Strings()...)
		require.NoError(t, way(second.ID), name)
		w.seen = len(w.events())
		w.refused(way(w.root.AgentID), apierr.LastAdministrator, "last_administrator")
	}
	_, err := w.UpdateAgent(w.ctx, w.root, w.root.AgentID, registry.AgentPatch{Version: ptr("2.0.0"), Capabilities: ptr(append(w.root.Capabilities.Strings(), "notes:read"))})
	require.NoError(t, err)

	// Every organization has its own.
	acme := w.organization("acme")
	w.seen = len(w.events())
	for _, way := range ways {
		w.refused(way(acme.AgentID), apierr.LastAdministrator, "last_administrator")
	}
	// The label administrates nothing.
	in := newAgent("label")
	in.Type = "administrator"
	_, _, err = w.CreateAgent(w.ctx, acme, in)
	require.NoError(t, err)
	w.seen = len(w.events())
	w.refused(ways["suspend"](acme.AgentID), apierr.LastAdministrator, "last_administrator")
}

func TestOtherOrganizations(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	acme, rival := w.organization("acme"), w.organization("rival")
	a := w.agent(acme, "a", "notes:read")
	credential := w.credential(acme, a.ID)
	w.seen = len(w.events())

	hidden := func(err error) {
		t.Helper()
		refusal := w.refused(err, apierr.NotFound, "other_organization")
		require.Contains(t, refusal.Detail, "no such ")
		require.Empty(t, refusal.Details)
	}
	_, err := w.GetAgent(w.ctx, rival, a.ID)
	hidden(err)
	_, err = w.UpdateAgent(w.ctx, rival, a.ID, registry.AgentPatch{Owner: ptr("me")})
	hidden(err)
	hidden(w.DecommissionAgent(w.ctx, rival, a.ID, registry.Decommission{}))
	_, err = w.GetUsage(w.ctx, rival, a.ID)
	hidden(err)
	_, _, err = w.ListCredentials(w.ctx, rival, a.ID, firstPage)
	hidden(err)
	_, err = w.GetCredential(w.ctx, rival, a.ID, credential.ID)
	hidden(err)
	_, err = w.CreateCredential(w.ctx, rival, a.ID, registry.NewCredential{})
	hidden(err)
	_, err = w.RotateCredential(w.ctx, rival, a.ID, credential.ID, registry.Rotation{})
	hidden(err)
	hidden(w.RevokeCredential(w.ctx, rival, a.ID, credential.ID, registry.CredentialRevocation{Tokens: true}))
	_, err = w.ListAgents(w.ctx, rival, registry.AgentQuery{OrganizationID: "acme", Page: firstPage})
	hidden(err)
	in := newAgent("spy")
	in.OrganizationID = "acme"
	_, _, err = w.CreateAgent(w.ctx, rival, in)
	hidden(err)
	_, err = w.GetOrganization(w.ctx, rival, "acme")
	hidden(err)

	// A credential is found below its own agent only.
	_, err = w.GetCredential(w.ctx, acme, acme.AgentID, credential.ID)
	w.refused(err, apierr.NotFound, "credential_not_found")
}

func TestOperatorReachesAll(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	acme := w.organization("acme")
	a := w.agent(acme, "a", "notes:read")
	w.seen = len(w.events())
	list := func(by registry.Actor, organizationID string, want int) {
		t.Helper()
		page, err := w.ListAgents(w.ctx, by, registry.AgentQuery{OrganizationID: organizationID, Page: firstPage})
		require.NoError(t, err)
		require.Equal(t, want, page.Total)
	}
	list(w.root, "", 1)
	list(w.root, "acme", 2)
	list(acme, "", 2)
	list(acme, "acme", 2)

	// The event shows in the tenant's log.
	_, err := w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Owner: ptr("operator")})
	require.NoError(t, err)
	e := w.happened(idp.ActionAgentUpdated)[0]
	require.Equal(t, "acme", e.OrganizationID)
	require.Equal(t, w.root.AgentID, e.AgentID)

	in := newAgent("b")
	in.OrganizationID = "acme"
	b, _, err := w.CreateAgent(w.ctx, w.root, in)
	require.NoError(t, err)
	require.Equal(t, "acme", b.OrganizationID)
	in.OrganizationID = "nowhere"
	w.seen = len(w.events())
	_, _, err = w.CreateAgent(w.ctx, w.root, in)
	w.refused(err, apierr.NotFound, "organization_not_found")
}

func TestObligation(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	w.seen = len(w.events())
	self := w.actor(&a)
	self.Only = []string{"metadata", "version"}
	_, err := w.UpdateAgent(w.ctx, self, a.ID, registry.AgentPatch{Version: ptr("1.1.0"), Metadata: json.RawMessage(`{"a":1}`)})
	require.NoError(t, err)
	w.happened(idp.ActionAgentUpdated)
	for member, patch := range map[string]registry.AgentPatch{
		"email":         {Email: ptr("x@example.com")},
		"agentType":     {Type: ptr("router")},
		"capabilities":  {Capabilities: &[]string{"notes:read"}},
		"owner":         {Owner: ptr("x")},
		"deploymentEnv": {Environment: ptr("production")},
		"status":        {Status: ptr("active"), Version: ptr("1.2.0")},
	} {
		_, err := w.UpdateAgent(w.ctx, self, a.ID, patch)
		refusal := w.refused(err, apierr.Forbidden, "self_field_not_allowed")
		require.Equal(t, []string{member}, refusal.Details["members"])
	}
	w.refused(w.DecommissionAgent(w.ctx, self, a.ID, registry.Decommission{}), apierr.Forbidden, "self_field_not_allowed")
}

func TestStoreError(t *testing.T) {
	require.NoError(t, registry.StoreError(nil))
	require.ErrorIs(t, registry.StoreError(idp.ErrNotFound), idp.ErrNotFound)
	err := registry.StoreError(store.ErrUnavailable)
	require.True(t, apierr.Is(err, apierr.StoreUnavailable))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Positive(t, apierr.From(err).RetryAfter)

	w := newWorld(t, idp.FreeLimits)
	require.NoError(t, w.db.Close())
	_, err = w.GetAgent(w.ctx, w.root, w.root.AgentID)
	require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
}
