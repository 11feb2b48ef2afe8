package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var agentOrderFacts = []fact{
	{"each order is total, and goes on after any agent", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		old, small, big, gone := agent("acme", "old"), agent("acme", "a"), agent("acme", "B"), agent("acme", "gone")
		old.CreatedAt, old.Email = noon.Add(-time.Millisecond), "m@example.com"
		gone.Status, gone.Email = idp.Decommissioned, big.Email
		insertAgents(t, b.DB, old, gone, small, big, agent("other", "z"))
		for sort, want := range map[store.AgentSort][]string{
			"":                      {"B", "a", "old"},
			store.NewestAgents:      {"B", "a", "old"},
			store.OldestAgents:      {"old", "a", "B"},
			store.AgentsByEmail:     {"B", "a", "old"},
			store.AgentsByEmailDown: {"old", "a", "B"},
		} {
			for _, prefix := range []string{"", "team"} { // walked in the order of an index, and sorted
				filter := store.AgentFilter{OrganizationID: "acme", Prefix: prefix}
				whole := orderedAgents(t, b.DB, filter, store.AgentOrder{Sort: sort}, 10)
				require.Equal(t, want, ids(whole.Agents, agentID), "%s %s", sort, prefix)
				require.False(t, whole.More)
				for i, a := range whole.Agents {
					rest := orderedAgents(t, b.DB, filter, after(sort, a), 1)
					require.Equal(t, want[i+1:min(i+2, len(want))], ids(rest.Agents, agentID), "%s %s after %s", sort, prefix, a.ID)
					require.Equal(t, i+2 < len(want), rest.More, "%s %s after %s", sort, prefix, a.ID)
					require.Equal(t, 3, rest.Total)
				}
			}
		}
		both := store.AgentFilter{OrganizationID: "acme", Status: idp.Decommissioned}
		require.Equal(t, []string{"gone"}, ids(orderedAgents(t, b.DB, both, store.AgentOrder{Sort: store.AgentsByEmail}, 10).Agents, agentID))
	}},
	{"what begins with a text is found by email, id and owner, once", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		varied := variedAgents()
		varied[0].Owner, varied[1].Owner, varied[2].Owner = "Talent TEAM", "talent_team", "50% owner"
		varied[4].Email = "talent@example.com"
		insertAgents(t, b.DB, varied...)
		for _, c := range []struct {
			filter store.AgentFilter
			want   []string
		}{
			{store.AgentFilter{Prefix: "talent"}, []string{"1", "2", "5"}},
			{store.AgentFilter{Prefix: "talent "}, []string{"1"}},
			{store.AgentFilter{Prefix: "talent_"}, []string{"2"}},
			{store.AgentFilter{Prefix: "50%"}, []string{"3"}},
			{store.AgentFilter{Prefix: "3"}, []string{"3"}}, // both its id and its email
			{store.AgentFilter{Prefix: "elsewhere"}, nil},
			{store.AgentFilter{Prefix: "team"}, []string{"5"}},
			{store.AgentFilter{Prefix: "4"}, nil},
			{store.AgentFilter{Prefix: "4", Status: idp.Decommissioned}, []string{"4"}},
			{store.AgentFilter{Prefix: "talent", Type: idp.TypeRouter, Capability: "notes:read", Owner: "talent_team", Environment: "production", Status: idp.Suspended}, []string{"2"}},
		} {
			c.filter.OrganizationID = "acme"
			got := orderedAgents(t, b.DB, c.filter, store.AgentOrder{}, 10)
			require.ElementsMatch(t, c.want, ids(got.Agents, agentID), "%+v", c.filter)
			require.Equal(t, len(c.want), got.Total)
			require.False(t, got.Incomplete)
		}
		second := read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.AgentList, error) {
			return tx.Agents.List(ctx, store.AgentFilter{OrganizationID: "acme", Prefix: "talent"}, store.AgentOrder{}, store.Page{Number: 2, Limit: 2})
		})
		require.Equal(t, []string{"5"}, ids(second.Agents, agentID))
	}},
	{"a text that very many begin with finds the first of them, and says so", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		all := make([]idp.Agent, store.MaxPrefixMatches+1)
		for i := range all {
			all[i] = agent("acme", fmt.Sprintf("n%05d", i))
			all[i].Capabilities = nil
		}
		for chunk := range slices.Chunk(all, 500) {
			insertAgents(t, b.DB, chunk...)
		}
		got := orderedAgents(t, b.DB, store.AgentFilter{OrganizationID: "acme", Prefix: "n"}, store.AgentOrder{}, 1)
		require.True(t, got.Incomplete)
		require.True(t, got.More)
		got = orderedAgents(t, b.DB, store.AgentFilter{OrganizationID: "acme", Prefix: "n01"}, store.AgentOrder{}, 1)
		require.False(t, got.Incomplete)
		require.Equal(t, 1000, got.Total)
	}},
}

// after goes on behind the agent, knowing of it what the order needs.
func after(sort store.AgentSort, a idp.Agent) store.AgentOrder {
	position := store.AgentPosition{ID: a.ID, CreatedAt: a.CreatedAt}
	if sort == store.AgentsByEmail || sort == store.AgentsByEmailDown {
		position = store.AgentPosition{ID: a.ID, Email: a.Email}
	}
	return store.AgentOrder{Sort: sort, After: &position}
}

func orderedAgents(t *testing.T, db store.DB, f store.AgentFilter, order store.AgentOrder, limit int) store.AgentList {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (store.AgentList, error) {
		return tx.Agents.List(ctx, f, order, store.Page{Number: 1, Limit: limit})
	})
}
