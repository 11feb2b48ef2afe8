package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestOrganizationUsage(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	acme := w.organization("acme")
	gone := w.agent(acme, "gone", "notes:read")
	w.agent(acme, "there", "notes:read")
	require.NoError(t, w.DecommissionAgent(w.ctx, acme, gone.ID, registry.Decommission{}))
	usage, err := w.GetOrganizationUsage(w.ctx, acme, "acme")
	require.NoError(t, err)
	require.Equal(t, idp.FreeLimits.Agents, usage.AgentsLimit)
	require.Equal(t, idp.FreeLimits.TokensPerMonth, usage.TokensLimitPerAgent)
	require.Equal(t, 2, usage.Agents, "and the administrator")
	require.Zero(t, usage.Tokens)
	require.Equal(t, time.UTC, usage.ResetsAt.Location())
	w.seen = len(w.events())
	_, err = w.GetOrganizationUsage(w.ctx, acme, "default")
	w.refused(err, apierr.NotFound, "other_organization")
}

// What a cursor of a list cannot say is refused.
func TestListAgentsInOrder(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	for _, name := range []string{"b", "a", "c"} {
		w.pass(time.Second)
		w.agent(w.root, name, "notes:read")
	}
	two := firstPage
	two.Limit = 2
	for sort, want := range map[string][]string{
		"":           {"c@example.com", "a@example.com", "b@example.com", "admin@localhost"},
		"-createdAt": {"c@example.com", "a@example.com", "b@example.com", "admin@localhost"},
		"createdAt":  {"admin@localhost", "b@example.com", "a@example.com", "c@example.com"},
		"email":      {"a@example.com", "admin@localhost", "b@example.com", "c@example.com"},
		"-email":     {"c@example.com", "b@example.com", "admin@localhost", "a@example.com"},
	} {
		q := registry.AgentQuery{Sort: sort, Page: two}
		var got []string
		for first := true; first || q.Cursor != ""; first = false {
			page, err := w.ListAgents(w.ctx, w.root, q)
			require.NoError(t, err)
			for _, a := range page.Agents {
				got = append(got, a.Email)
			}
			q.Cursor, q.Sort = page.NextCursor, ""
		}
		require.Equal(t, want, got, sort)
	}
	page, err := w.ListAgents(w.ctx, w.root, registry.AgentQuery{Prefix: "A@EXAMPLE", Page: firstPage})
	require.NoError(t, err)
	require.Equal(t, 1, page.Total)

	w.seen = len(w.events())
	for _, q := range []registry.AgentQuery{
		{Sort: "owner"}, {Prefix: " x"}, {Cursor: "?"}, {Cursor: "e30"}, {Cursor: "eyJzIjoiZW1haWwiLCJlIjoiXHUwMDAwIn0"},
	} {
		q.Page = firstPage
		_, err := w.ListAgents(w.ctx, w.root, q)
		w.refused(err, apierr.ValidationFailed, "validation_failed")
	}
}
