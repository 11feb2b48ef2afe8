package storetest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

var agentFacts = []fact{
	{"get returns what was inserted", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		want := agent("acme", "full")
		want.CreatedAt, want.UpdatedAt, want.LastAuthAt = zoned, zoned, zoned.Add(time.Hour)
		insertAgents(t, b.DB, want)
		want.CreatedAt, want.UpdatedAt, want.LastAuthAt = noon, noon, noon.Add(time.Hour)
		require.Equal(t, want, getAgent(t, b.DB, "acme", "full"))
	}},
	{"what is empty stays empty", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		want := agent("acme", "bare")
		want.Metadata, want.Capabilities = nil, capability.Set{}
		insertAgents(t, b.DB, want)
		got := getAgent(t, b.DB, "acme", "bare")
		require.Equal(t, want, got)
		require.Nil(t, got.Metadata)
		require.True(t, got.LastAuthAt.IsZero())
	}},
	{"huge values fit", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		want := agent("acme", "huge")
		want.Metadata = json.RawMessage(`{"text":"` + strings.Repeat("é", 8<<10-6) + `"}`)
		want.Capabilities = nil
		for i := range 100 {
			suffix := strings.Repeat("x", 100) + string(rune('a'+i/26)) + string(rune('a'+i%26))
			want.Capabilities = append(want.Capabilities, capability.Capability("r:"+suffix))
		}
		insertAgents(t, b.DB, want)
		require.Equal(t, want, getAgent(t, b.DB, "acme", "huge"))
	}},
	{"an organization sees its own, any organization sees all", func(t *testing.T, b Backend) {
		_, want, _ := seed(t, b.DB)
		require.Equal(t, want, getAgent(t, b.DB, store.AnyOrganization, want.ID))
		for _, key := range [][2]string{{"other", want.ID}, {"ACME", want.ID}, {"acme", "AGENT"}, {"acme", "none"}} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (idp.Agent, error) {
				return tx.Agents.Get(ctx, key[0], key[1])
			})
		}
	}},
	{"an id is taken once", func(t *testing.T, b Backend) {
		_, a, _ := seed(t, b.DB)
		a.Email = "fresh@example.com"
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Insert(ctx, a) })
	}},
	{"an email is taken once in an organization, byte for byte", func(t *testing.T, b Backend) {
		_, first, _ := seed(t, b.DB)
		insertOrganizations(t, b.DB, organization("other"))
		second, upper, elsewhere := agent("acme", "second"), agent("acme", "upper"), agent("other", "elsewhere")
		second.Email, upper.Email, elsewhere.Email = first.Email, "Agent@example.com", first.Email
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Insert(ctx, second) })
		insertAgents(t, b.DB, upper, elsewhere)
		upper.Email = first.Email
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, upper) })
		first.Status = idp.Suspended
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, first) })
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Insert(ctx, second) })
	}},
	{"an email is free again after decommission", func(t *testing.T, b Backend) {
		_, first, _ := seed(t, b.DB)
		first.Status = idp.Decommissioned
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, first) })
		second, third := agent("acme", "second"), agent("acme", "third")
		second.Email, third.Email, third.Status = first.Email, first.Email, idp.Decommissioned
		insertAgents(t, b.DB, second, third)
	}},
	{"update writes all but identity, creation and last authentication", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		before := agent("acme", "agent")
		before.LastAuthAt = noon.Add(time.Second)
		insertAgents(t, b.DB, before)
		want := idp.Agent{
			ID: "agent", OrganizationID: "other", Email: "new@example.com", Type: idp.TypeRouter, Version: "2.0.0-rc.1",
			Capabilities: capability.Set{"notes:read", "x:*"}, Owner: "else", Environment: "staging", Status: idp.Suspended,
			CreatedAt: noon.Add(time.Hour), UpdatedAt: zoned.Add(time.Hour), LastAuthAt: noon.Add(time.Hour), Epoch: 6, Revision: before.Revision,
		}
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, want) })
		want.OrganizationID, want.CreatedAt, want.LastAuthAt = before.OrganizationID, before.CreatedAt, before.LastAuthAt
		want.UpdatedAt, want.Revision = noon.Add(time.Hour), before.Revision+1
		require.Equal(t, want, getAgent(t, b.DB, "acme", "agent"))
	}},
	{"update of an old revision conflicts, of an unknown agent is not found", func(t *testing.T, b Backend) {
		_, a, _ := seed(t, b.DB)
		stale, unknown := a, agent("acme", "none")
		stale.Owner, stale.Revision = "late", a.Revision+1
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, stale) })
		refuse(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, unknown) })
		require.Equal(t, a, getAgent(t, b.DB, "acme", "agent"))
	}},
	{"live agents are the active and suspended ones of the organization", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		active, suspended, gone := agent("acme", "1"), agent("acme", "2"), agent("acme", "3")
		suspended.Status, gone.Status = idp.Suspended, idp.Decommissioned
		insertAgents(t, b.DB, active, suspended, gone, agent("other", "4"))
		for organizationID, want := range map[string]int{"acme": 2, "other": 1, "none": 0, store.AnyOrganization: 3} {
			require.Equal(t, want, read(t, b.DB, func(ctx context.Context, tx *store.Tx) (int, error) {
				return tx.Agents.CountLive(ctx, organizationID)
			}), organizationID)
		}
	}},
	{"administrators are counted as last written", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), organization("other"))
		first, second, elsewhere := administrator("acme", "1"), administrator("acme", "2"), administrator("other", "3")
		insertAgents(t, b.DB, first, second, elsewhere, agent("acme", "4"))
		require.Equal(t, 1, otherAdministrators(t, b.DB, "acme", "1"))
		require.Equal(t, 2, otherAdministrators(t, b.DB, "acme", "4"))
		require.Equal(t, 3, otherAdministrators(t, b.DB, store.AnyOrganization, ""))
		second.Status = idp.Suspended
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, second) })
		require.Equal(t, 0, otherAdministrators(t, b.DB, "acme", "1"))
		second.Status, second.Revision = idp.Active, second.Revision+1
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, second) })
		require.Equal(t, 1, otherAdministrators(t, b.DB, "acme", "1"))
		second.Capabilities, second.Revision = second.Capabilities[1:], second.Revision+1
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, second) })
		require.Equal(t, 0, otherAdministrators(t, b.DB, "acme", "1"))
	}},
}

func administrator(organizationID, id string) idp.Agent {
	a := agent(organizationID, id)
	a.Capabilities = idp.AdministratorCapabilities(organizationID)
	return a
}

func otherAdministrators(t *testing.T, db store.DB, organizationID, exceptID string) int {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (int, error) {
		return tx.Agents.OtherAdministrators(ctx, organizationID, exceptID)
	})
}
