package registry_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

func TestBootstrap(t *testing.T) {
	w := emptyWorld(t, idp.FreeLimits)
	first, err := w.EnsureBootstrap(w.ctx, registry.BootstrapInput{})
	require.NoError(t, err)
	require.Equal(t, "admin@localhost", first.Administrator.Email)
	require.Equal(t, idp.TypeAdministrator, first.Administrator.Type)
	require.Equal(t, capability.ReservedAll(), first.Administrator.Capabilities)
	require.Equal(t, idp.OperatorOrganization, first.Administrator.OrganizationID)
	require.True(t, clientauth.CheckFormat(first.Credential.ClientSecret))
	e := w.happened(idp.ActionAdministratorBootstrap)[0]
	require.Equal(t, first.Credential.ClientID, e.Metadata["clientId"])
	require.NotContains(t, e.raw, first.Credential.ClientSecret)
	w.view(func(tx *store.Tx) {
		gate, err := tx.Credentials.Gate(w.ctx, first.Credential.ClientID)
		require.NoError(t, err)
		require.True(t, gate.Agent.Administrator())
	})

	hashes := w.hasher.calls.Load()
	again, err := w.EnsureBootstrap(w.ctx, registry.BootstrapInput{})
	require.NoError(t, err)
	require.Nil(t, again)
	require.Equal(t, hashes, w.hasher.calls.Load())
	w.happened()
}

func TestBootstrapConfigured(t *testing.T) {
	w := emptyWorld(t, idp.FreeLimits)
	in := registry.BootstrapInput{ClientID: clientauth.NewClientID(), Secret: clientauth.NewSecret()}
	for _, bad := range []registry.BootstrapInput{
		{ClientID: in.ClientID}, {Secret: in.Secret}, {ClientID: "admin", Secret: in.Secret},
		{ClientID: in.ClientID, Secret: "hunter2"}, {ClientID: in.ClientID + "\n", Secret: in.Secret},
	} {
		_, err := w.EnsureBootstrap(w.ctx, bad)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	first, err := w.EnsureBootstrap(w.ctx, in)
	require.NoError(t, err)
	require.Equal(t, in.ClientID, first.Credential.ClientID)
	require.Equal(t, in.Secret, first.Credential.ClientSecret)
}

func TestBootstrapOnce(t *testing.T) {
	w := emptyWorld(t, idp.FreeLimits)
	var replicas sync.WaitGroup
	results := make([]*registry.BootstrapResult, 8)
	failures := make([]error, len(results))
	for i := range results {
		replicas.Go(func() { results[i], failures[i] = w.EnsureBootstrap(w.ctx, registry.BootstrapInput{}) })
	}
	replicas.Wait()
	require.NoError(t, errors.Join(failures...))
	winners := 0
	for _, r := range results {
		if r != nil {
			winners++
		}
	}
	require.Equal(t, 1, winners)
	w.happened(idp.ActionAdministratorBootstrap)
	w.view(func(tx *store.Tx) {
		live, err := tx.Agents.CountLive(w.ctx, idp.OperatorOrganization)
		require.NoError(t, err)
		require.Equal(t, 1, live)
	})
}

func TestResetAdministrator(t *testing.T) {
	empty := emptyWorld(t, idp.FreeLimits)
	_, err := empty.ResetAdministrator(empty.ctx)
	empty.refused(err, apierr.InvalidState, "not_bootstrapped")

	w := newWorld(t, idp.Limits{Credentials: 1})
	reset := func(how, agentID string) *registry.BootstrapResult {
		t.Helper()
		r, err := w.ResetAdministrator(w.ctx)
		require.NoError(t, err)
		require.True(t, r.Administrator.Administrator())
		require.NotEmpty(t, r.Credential.ClientSecret)
		if agentID != "" {
			require.Equal(t, agentID, r.Administrator.ID)
		}
		e := w.happened(idp.ActionAdministratorReset)[0]
		require.Equal(t, how, e.Metadata["administrator"])
		require.Equal(t, r.Administrator.ID, e.Metadata["targetAgentId"])
		w.view(func(tx *store.Tx) {
			gate, err := tx.Credentials.Gate(w.ctx, r.Credential.ClientID)
			require.NoError(t, err)
			require.Equal(t, r.Administrator, gate.Agent)
			require.True(t, gate.Credential.Usable(w.now(), 0))
		})
		return r
	}
	reset("kept", w.root.AgentID)

	// Use cases never leave the organization without an administrator; a restored or repaired store may.
	fall := func(change func(a *idp.Agent)) {
		t.Helper()
		w.tx(w.db.Update, func(tx *store.Tx) {
			found, err := tx.Agents.List(w.ctx, store.AgentFilter{OrganizationID: idp.OperatorOrganization}, store.AgentOrder{}, firstPage)
			require.NoError(t, err)
			for _, a := range found.Agents {
				change(&a)
				require.NoError(t, tx.Agents.Update(w.ctx, a))
			}
		})
	}
	fall(func(a *idp.Agent) { a.Status = idp.Suspended })
	reset("restored", w.root.AgentID)
	fall(func(a *idp.Agent) { a.Capabilities = capability.Set{"notes:read"} })
	restored := reset("restored", w.root.AgentID)
	require.True(t, restored.Administrator.Capabilities.Covers("notes:read"))
	fall(func(a *idp.Agent) { a.Status = idp.Decommissioned })
	registered := reset("registered", "")
	require.NotEqual(t, w.root.AgentID, registered.Administrator.ID)

	// Any active administrator will do when the first is not one.
	w.agent(w.actor(&registered.Administrator), "deputy", capability.ReservedAll().Strings()...)
	fall(func(a *idp.Agent) {
		if a.Email == registry.BootstrapEmail {
			a.Status = idp.Suspended
		}
	})
	w.seen = len(w.events())
	deputy := reset("kept", "")
	require.Equal(t, "deputy@example.com", deputy.Administrator.Email)
}
