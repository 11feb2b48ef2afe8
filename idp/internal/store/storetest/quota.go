package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var quotaFacts = []fact{
	{"is exact within a batch and after it", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		asked.MonthlyLimit = 3
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.Admitted}, admit(t, b.DB, asked, asked))
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.QuotaExceeded}, admit(t, b.DB, asked, asked))
		require.Equal(t, []store.AdmissionResult{store.QuotaExceeded}, admit(t, b.DB, asked))
		require.Equal(t, int64(3), tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"survives a restart", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		asked.MonthlyLimit = 1
		admit(t, b.DB, asked)
		require.Equal(t, []store.AdmissionResult{store.QuotaExceeded}, admit(t, b.Reopen(t), asked))
	}},
	{"exceeded changes nothing", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		asked.MonthlyLimit = 1
		admit(t, b.DB, asked)
		asked.At = noon.Add(time.Hour)
		require.Equal(t, []store.AdmissionResult{store.QuotaExceeded}, admit(t, b.DB, asked))
		require.Equal(t, noon, getAgent(t, b.DB, "acme", a.ID).LastAuthAt)
		require.Equal(t, noon, getCredential(t, b.DB, a.ID, c.ID).LastUsedAt)
	}},
	{"without a limit tokens are still counted", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		asked.MonthlyLimit = 0
		for range 3 {
			require.Equal(t, []store.AdmissionResult{store.Admitted}, admit(t, b.DB, asked))
		}
		require.Equal(t, int64(3), tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"is the agent's, over all its credentials", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		second := credential(a, "second")
		insertCredentials(t, b.DB, second)
		one, two := admission(o, a, c, noon), admission(o, a, second, noon)
		one.MonthlyLimit, two.MonthlyLimit = 2, 2
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.Admitted, store.QuotaExceeded}, admit(t, b.DB, one, two, one))
	}},
	{"starts anew with the UTC month", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		february := time.Date(2026, time.February, 1, 0, 0, 0, 0, time.UTC)
		last, first := admission(o, a, c, february.Add(-time.Millisecond)), admission(o, a, c, february)
		// In another zone it is still January.
		abroad := admission(o, a, c, february.Add(time.Hour).In(time.FixedZone("west", -8*3600)))
		last.MonthlyLimit, first.MonthlyLimit, abroad.MonthlyLimit = 1, 1, 1
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.QuotaExceeded, store.Admitted, store.QuotaExceeded},
			admit(t, b.DB, abroad, first, last, last))
		for at, want := range map[time.Time]int64{last.At: 1, first.At: 1, abroad.At: 1, february.AddDate(0, 1, 0): 0, february.AddDate(1, 0, 0): 0} {
			require.Equal(t, want, tokensUsed(t, b.DB, a.ID, at), at)
		}
	}},
	{"is exact when many ask at once", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		asked.MonthlyLimit = 123
		batch := []store.Admission{asked, asked, asked, asked, asked}
		var admitted atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 5 {
					var results []store.AdmissionResult
					err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
						results, err = tx.Admissions.Admit(ctx, batch)
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
					for _, r := range results {
						if r == store.Admitted {
							admitted.Add(1)
						}
					}
				}
			})
		}
		callers.Wait()
		require.Equal(t, int64(123), admitted.Load())
		require.Equal(t, int64(123), tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"is given back when the transaction fails", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Admissions.Admit(ctx, []store.Admission{admission(o, a, c, noon)})
			require.NoError(t, err)
			return errFact
		})
		require.Zero(t, tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"the agents with the most tokens come first", func(t *testing.T, b Backend) {
		o, first, c := seed(t, b.DB)
		other := organization("other")
		insertOrganizations(t, b.DB, other)
		client := map[string]store.Admission{first.ID: admission(o, first, c, noon)}
		for id, home := range map[string]idp.Organization{"b": o, "c": o, "gone": o, "idle": o, "abroad": other} {
			a := agent(home.ID, id)
			insertAgents(t, b.DB, a)
			insertCredentials(t, b.DB, credential(a, "of-"+id))
			client[id] = admission(home, a, credential(a, "of-"+id), noon)
		}
		use := func(id string, n int, at time.Time) {
			t.Helper()
			asked := client[id]
			asked.At, asked.MonthlyLimit = at, 0
			for _, verdict := range admit(t, b.DB, slices.Repeat([]store.Admission{asked}, n)...) {
				require.Equal(t, store.Admitted, verdict)
			}
		}
		most := func(organizationID string, limit int) []store.AgentUsage {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) ([]store.AgentUsage, error) {
				return tx.Stats.MostTokens(ctx, organizationID, noon, limit)
			})
		}
		require.Empty(t, most("acme", 10))
		use("gone", 90, noon)
		use("abroad", 80, noon)
		use("c", 500, noon.AddDate(0, -1, 0))
		use("b", 64, noon)
		use("c", 65, noon) // of the same rank as b
		for range 70 {
			use(first.ID, 1, noon)
		}
		gone := getAgent(t, b.DB, "acme", "gone")
		gone.Status = idp.Decommissioned
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, gone) })
		want := []store.AgentUsage{
			{AgentID: first.ID, Email: first.Email, Status: idp.Active, Tokens: 70},
			{AgentID: "c", Email: "c@example.com", Status: idp.Active, Tokens: 65},
			{AgentID: "b", Email: "b@example.com", Status: idp.Active, Tokens: 64},
		}
		require.Equal(t, want, most("acme", 10))
		require.Equal(t, want[:2], most("acme", 2))
		require.Equal(t, []store.AgentUsage{{AgentID: "abroad", Email: "abroad@example.com", Status: idp.Active, Tokens: 80}}, most("other", 10))
		require.Empty(t, most("none", 10))
		use("b", 10, noon) // past both
		require.Equal(t, "b", most("acme", 10)[0].AgentID)
	}},
}
