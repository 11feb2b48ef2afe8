package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

var agentListFacts = []fact{
	{"is newest first, then by id byte by byte, with the total", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		old, small, big := agent("acme", "old"), agent("acme", "a"), agent("acme", "B")
		old.CreatedAt = noon.Add(-time.Millisecond)
		insertAgents(t, b.DB, old, small, big, agent("other", "z"))
		acme := store.AgentFilter{OrganizationID: "acme"}
		require.Equal(t, listed[idp.Agent]{[]idp.Agent{big, small}, 3}, listAgents(t, b.DB, acme, 1, 2))
		require.Equal(t, listed[idp.Agent]{[]idp.Agent{old}, 3}, listAgents(t, b.DB, acme, 2, 2))
		require.Equal(t, listed[idp.Agent]{nil, 3}, listAgents(t, b.DB, acme, 3, 2))
		everyone := listAgents(t, b.DB, store.AgentFilter{}, 1, 100)
		require.Equal(t, []string{"B", "a", "z", "old"}, ids(everyone.Rows, agentID))
		require.Equal(t, 4, everyone.Total)
	}},
	{"every filter narrows, alone and together", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		insertAgents(t, b.DB, variedAgents()...)
		for _, c := range []struct {
			filter store.AgentFilter
			want   []string
		}{
			{store.AgentFilter{}, []string{"1", "2", "3", "5"}},
			{store.AgentFilter{Status: idp.Active}, []string{"1", "3", "5"}},
			{store.AgentFilter{Status: idp.Suspended}, []string{"2"}},
			{store.AgentFilter{Status: idp.Decommissioned}, []string{"4"}},
			{store.AgentFilter{Owner: "Ops"}, []string{"1", "2"}},
			{store.AgentFilter{Owner: "ops"}, nil},
			{store.AgentFilter{Type: idp.TypeRouter}, []string{"2", "3"}},
			{store.AgentFilter{Environment: "staging"}, []string{"3", "5"}},
			{store.AgentFilter{Capability: "notes:read"}, []string{"1", "2"}},
			{store.AgentFilter{Capability: "notes:*"}, []string{"3"}},
			{store.AgentFilter{Capability: "notes:delete"}, nil},
			{store.AgentFilter{Owner: "Ops", Type: idp.TypeRouter, Capability: "notes:read"}, []string{"2"}},
			{store.AgentFilter{Status: idp.Active, Environment: "staging", Capability: "notes:*"}, []string{"3"}},
			{store.AgentFilter{Status: idp.Decommissioned, Owner: "dev"}, nil},
		} {
			scoped := c.filter
			scoped.OrganizationID = "acme"
			got := listAgents(t, b.DB, scoped, 1, 100)
			require.Equal(t, len(c.want), got.Total, "%+v", scoped)
			require.ElementsMatch(t, c.want, ids(got.Rows, agentID), "%+v", scoped)
			// The other organization holds an active agent like number 1, with capability notes:read.
			if all := listAgents(t, b.DB, c.filter, 1, 100); all.Total != got.Total {
				require.Equal(t, append(ids(got.Rows, agentID), "elsewhere"), ids(all.Rows, agentID), "%+v", c.filter)
			}
		}
	}},
	{"follows a change of capabilities", func(t *testing.T, b Backend) {
		_, a, _ := seed(t, b.DB)
		a.Capabilities = capability.Set{"notes:write", "x:y"}
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) })
		for held, want := range map[capability.Capability]int{"notes:read": 0, "notes:write": 1, "x:y": 1} {
			require.Equal(t, want, listAgents(t, b.DB, store.AgentFilter{OrganizationID: "acme", Capability: held}, 1, 10).Total, held)
		}
	}},
	{"paging while newer agents arrive misses none", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		var before []idp.Agent
		for i := range 25 {
			a := agent("acme", fmt.Sprintf("before-%02d", i))
			a.CreatedAt = noon.Add(time.Duration(i) * time.Second)
			before = append(before, a)
		}
		insertAgents(t, b.DB, before...)
		seen := make(map[string]bool)
		for number := 1; ; number++ {
			got := listAgents(t, b.DB, store.AgentFilter{OrganizationID: "acme"}, number, 5)
			if len(got.Rows) == 0 {
				break
			}
			for _, a := range got.Rows {
				seen[a.ID] = true
			}
			if number <= 3 {
				a := agent("acme", fmt.Sprintf("during-%d", number))
				a.CreatedAt = noon.Add(time.Hour + time.Duration(number)*time.Second)
				insertAgents(t, b.DB, a)
			}
		}
		for _, a := range before {
			require.True(t, seen[a.ID], a.ID)
		}
	}},
}

// variedAgents are five agents of acme, newest first, and an older one of other.
func variedAgents() []idp.Agent {
	all := make([]idp.Agent, 6)
	for i, vary := range []func(a *idp.Agent){
		func(a *idp.Agent) { a.Owner, a.Capabilities = "Ops", capability.Set{"notes:read"} },
		func(a *idp.Agent) {
			a.Owner, a.Type, a.Status, a.Capabilities = "Ops", idp.TypeRouter, idp.Suspended, capability.Set{"notes:read", "x:y"}
		},
		func(a *idp.Agent) {
			a.Type, a.Environment, a.Capabilities = idp.TypeRouter, "staging", capability.Set{"notes:*"}
		},
		func(a *idp.Agent) { a.Status, a.Owner = idp.Decommissioned, "Ops" },
		func(a *idp.Agent) { a.Environment, a.Capabilities = "staging", capability.Set{} },
		func(a *idp.Agent) {
			a.ID, a.OrganizationID, a.Owner, a.Capabilities = "elsewhere", "other", "Ops", capability.Set{"notes:read"}
		},
	} {
		a := agent("acme", fmt.Sprint(i+1))
		a.CreatedAt = noon.Add(-time.Duration(i) * time.Second)
		vary(&a)
		all[i] = a
	}
	return all
}

func agentID(a idp.Agent) string { return a.ID }

func listAgents(t *testing.T, db store.DB, f store.AgentFilter, number, limit int) listed[idp.Agent] {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (listed[idp.Agent], error) {
		found, err := tx.Agents.List(ctx, f, store.AgentOrder{}, store.Page{Number: number, Limit: limit})
		return page(found.Agents, found.Total, err)
	})
}
