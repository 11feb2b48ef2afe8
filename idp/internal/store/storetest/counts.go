package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// How many transactions a random history has, and how often it is looked at.
const (
	historyLength = 300
	historyRounds = 6
)

var countFacts = []fact{
	{"counts are what is counted again, after any history", func(t *testing.T, b Backend) {
		h := newHistory(t, b.DB)
		for range historyRounds {
			for range historyLength / historyRounds {
				h.step(t)
			}
			require.Zero(t, miscounted(t, b.DB))
			h.compare(t)
		}
	}},
	{"a count that was changed from outside is found", func(t *testing.T, b Backend) {
		seed(t, b.DB)
		require.Zero(t, miscounted(t, b.DB))
		for _, statement := range []string{
			"UPDATE agent_counts SET count = count + 1 WHERE organization_id = '' AND capability = ''",
			"DELETE FROM credential_ends WHERE organization_id = ''",
			"UPDATE credential_ages SET set_span = set_span + 1",
		} {
			before := miscounted(t, b.DB)
			require.NoError(t, b.Exec(t.Context(), statement))
			require.Greater(t, miscounted(t, b.DB), before, statement)
		}
	}},
	{"rows that are written past the store are counted", func(t *testing.T, b Backend) {
		_, a, c := seed(t, b.DB)
		for _, statement := range []string{
			"UPDATE agents SET status = 'suspended', owner = 'another'",
			"UPDATE credentials SET expires_at = 5, method = 'private_key_jwt'",
			"DELETE FROM credentials", "DELETE FROM agent_capabilities", "DELETE FROM agents",
		} {
			require.NoError(t, b.Exec(t.Context(), statement))
			require.Zero(t, miscounted(t, b.DB), statement)
		}
		insertAgents(t, b.DB, a)
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Insert(ctx, c) })
		require.Zero(t, miscounted(t, b.DB))
	}},
	{"an owner of many and a capability of many are listed like few", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		all := make([]idp.Agent, store.MaxPrefixMatches+20)
		for i := range all {
			all[i] = agent("acme", fmt.Sprintf("n%05d", i))
			all[i].CreatedAt = noon.Add(time.Duration(i) * time.Second)
			all[i].Owner, all[i].Capabilities = "many", capability.Set{"held:bymany"}
			if i%200 == 0 {
				all[i].Status = idp.Suspended
			}
		}
		for chunk := range slices.Chunk(all, 500) {
			insertAgents(t, b.DB, chunk...)
		}
		for _, f := range []store.AgentFilter{{Owner: "many"}, {Capability: "held:bymany"}, {Owner: "many", Capability: "held:bymany"}, {}} {
			f.OrganizationID = "acme"
			got := listAgents(t, b.DB, f, 3, 10)
			require.Equal(t, len(all), got.Total)
			require.Equal(t, []string{all[len(all)-21].ID, all[len(all)-22].ID}, ids(got.Rows, agentID)[:2])
			require.Equal(t, []string{"n00019", "n00018"}, ids(listAgents(t, b.DB, f, 201, 10).Rows, agentID)[:2], "far behind")
			f.Status = idp.Suspended
			got = listAgents(t, b.DB, f, 1, 2)
			require.Equal(t, 11, got.Total)
			require.Equal(t, []string{"n02000", "n01800"}, ids(got.Rows, agentID))
		}
	}},
}

func miscounted(t *testing.T, db store.DB) int64 {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (int64, error) { return tx.Stats.Miscounted(ctx) })
}

// history does at random what changes agents and credentials, and remembers
// what was committed.
type history struct {
	*rand.Rand
	db          store.DB
	agents      []idp.Agent
	credentials []idp.Credential
	made        int
}

var historyOrganizations = []string{"acme", "other"}

func newHistory(t *testing.T, db store.DB) *history {
	t.Helper()
	acme, other := organization("acme"), organization("other") // in the first, secrets age
	other.MaxCredentialAge = 0
	insertOrganizations(t, db, acme, other)
	return &history{Rand: rand.New(rand.NewPCG(7, 8)), db: db} //nolint:gosec // G404: repeatable test data
}

func pick[T any](h *history, from ...T) T { return from[h.IntN(len(from))] }

// step is a transaction of a few changes; some fail, and some of those fail in a savepoint.
func (h *history) step(t *testing.T) {
	t.Helper()
	before := history{agents: slices.Clone(h.agents), credentials: slices.Clone(h.credentials)}
	undo := func() { h.agents, h.credentials = slices.Clone(before.agents), slices.Clone(before.credentials) }
	fails := h.IntN(4) == 0
	err := h.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		undo() // a backend may repeat it
		for range 1 + h.IntN(3) {
			h.change(ctx, t, tx)
		}
		if h.IntN(4) == 0 {
			kept := history{agents: slices.Clone(h.agents), credentials: slices.Clone(h.credentials)}
			require.ErrorIs(t, tx.Savepoint(ctx, func(ctx context.Context) error {
				h.change(ctx, t, tx)
				return errFact
			}), errFact)
			h.agents, h.credentials = kept.agents, kept.credentials
		}
		if fails {
			return errFact
		}
		return nil
	})
	if fails {
		require.ErrorIs(t, err, errFact)
		undo()
		return
	}
	require.NoError(t, err)
}

func (h *history) change(ctx context.Context, t *testing.T, tx *store.Tx) {
	t.Helper()
	switch n := h.IntN(10); {
	case n < 3 || len(h.agents) == 0:
		h.made++
		a := agent(pick(h, historyOrganizations...), fmt.Sprintf("agent-%d", h.made))
		h.vary(&a)
		require.NoError(t, tx.Agents.Insert(ctx, a))
		h.agents = append(h.agents, a)
	case n < 6:
		a := &h.agents[h.IntN(len(h.agents))]
		h.vary(a)
		require.NoError(t, tx.Agents.Update(ctx, *a))
		a.Revision++
	case n < 8 || len(h.credentials) == 0:
		h.made++
		c := credential(h.agents[h.IntN(len(h.agents))], fmt.Sprintf("credential-%d", h.made))
		c.Method = pick(h, idp.MethodSecret, idp.MethodPrivateKey)
		h.age(&c)
		require.NoError(t, tx.Credentials.Insert(ctx, c))
		h.credentials = append(h.credentials, c)
	default:
		c := &h.credentials[h.IntN(len(h.credentials))]
		h.age(c)
		require.NoError(t, tx.Credentials.Update(ctx, *c))
		c.Version++
	}
}

func (h *history) vary(a *idp.Agent) {
	a.Status = pick(h, idp.Active, idp.Active, idp.Suspended, idp.Decommissioned)
	a.Environment = pick(h, idp.Environments...)
	a.Type = pick(h, idp.TypeCustom, idp.TypeRouter)
	a.Owner = pick(h, "Ops", "ops", "team")
	a.Capabilities = pick(h, capability.Set{}, capability.Set{"notes:read"}, capability.Set{"notes:read", "x:y"})
}

// age moves the times about noon and the edges of the spans near it.
func (h *history) age(c *idp.Credential) {
	c.Status = pick(h, idp.CredentialActive, idp.CredentialActive, idp.CredentialActive, idp.CredentialRevoked)
	near := func() time.Time {
		return noon.Add(time.Duration(h.IntN(40)-20) * 3 * time.Hour).Add(time.Duration(h.IntN(3)-1) * time.Millisecond)
	}
	c.SecretSetAt = near().Add(-36 * time.Hour)
	if c.ExpiresAt = near(); h.IntN(3) == 0 {
		c.ExpiresAt = time.Time{}
	}
}

// moment is one about which something ends: now, or at the end of the span that is looked ahead.
func (h *history) moment() time.Time {
	c := h.credentials[h.IntN(len(h.credentials))]
	at := pick(h, c.ExpiresAt, c.SecretSetAt.Add(organization("acme").MaxCredentialAge))
	if at.IsZero() {
		at = noon.Add(time.Duration(h.IntN(60)-30) * time.Hour)
	}
	return at.Add(pick(h, 0, -store.ExpiringWithin)).Add(time.Duration(h.IntN(3)-1) * time.Millisecond)
}

// compare holds lists and overviews against what is remembered.
func (h *history) compare(t *testing.T) {
	t.Helper()
	for _, organizationID := range historyOrganizations {
		for range 20 {
			f := store.AgentFilter{
				OrganizationID: organizationID, Status: pick(h, "", idp.Active, idp.Suspended, idp.Decommissioned), Owner: pick(h, "", "", "Ops"),
				Type: pick(h, "", "", idp.TypeRouter), Environment: pick(h, "", "", idp.Environments[0]), Capability: pick[capability.Capability](h, "", "", "x:y"),
			}
			require.Equal(t, h.matching(f), listAgents(t, h.db, f, 1, 5).Total, "%+v", f)
		}
	}
	for range 60 {
		now := h.moment()
		for _, organizationID := range append(historyOrganizations, store.AnyOrganization) {
			p := read(t, h.db, func(ctx context.Context, tx *store.Tx) (store.Present, error) {
				return tx.Stats.Present(ctx, organizationID, now)
			})
			require.Equal(t, h.present(organizationID, now), p, "%q at %v", organizationID, now)
		}
	}
}

func (h *history) matching(f store.AgentFilter) (n int) {
	for _, a := range h.agents {
		if a.OrganizationID == f.OrganizationID && (f.Status == a.Status || f.Status == "" && a.Status != idp.Decommissioned) &&
			(f.Owner == "" || f.Owner == a.Owner) && (f.Type == "" || f.Type == a.Type) && (f.Environment == "" || f.Environment == a.Environment) &&
			(f.Capability == "" || slices.Contains(a.Capabilities, f.Capability)) {
			n++
		}
	}
	return n
}

func (h *history) present(organizationID string, now time.Time) (p store.Present) {
	status := map[string]idp.Status{}
	for _, a := range h.agents {
		status[a.ID] = a.Status
		if organizationID != store.AnyOrganization && organizationID != a.OrganizationID {
			continue
		}
		*map[idp.Status]*int64{idp.Active: &p.ActiveAgents, idp.Suspended: &p.SuspendedAgents, idp.Decommissioned: &p.DecommissionedAgents}[a.Status]++
		if a.Status != idp.Decommissioned {
			*map[idp.Environment]*int64{"development": &p.DevelopmentAgents, "staging": &p.StagingAgents, "production": &p.ProductionAgents}[a.Environment]++
		}
	}
	for _, c := range h.credentials {
		if c.Status != idp.CredentialActive || organizationID != store.AnyOrganization && organizationID != c.OrganizationID {
			continue
		}
		age := map[string]time.Duration{"acme": organization("acme").MaxCredentialAge}[c.OrganizationID]
		end := c.End(age)
		if end.IsZero() || end.After(now) {
			p.Credentials++
		}
		if status[c.AgentID] == idp.Active && !end.IsZero() && end.After(now) && end.Before(now.Add(store.ExpiringWithin)) {
			p.ExpiringCredentials++
		}
	}
	return p
}
