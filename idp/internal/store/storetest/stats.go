package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

const day = 24 * time.Hour

var statFacts = []fact{
	{"counts are the events themselves, summed", func(t *testing.T, b Backend) {
		load(t, b.DB, 3000)
		rows := rangeEvents(t, b.DB, store.AnyOrganization, 0, 5000)
		require.Len(t, rows, 3000)
		for _, organizationID := range []string{store.AnyOrganization, "a", "b", "none"} {
			for _, step := range []time.Duration{store.StepMinute, store.StepHour, day} {
				for _, span := range [][2]time.Duration{{-3 * day, 3 * day}, {0, step}, {-day, day}, {day, day}, {-8000 * day, -4000 * day}} {
					q := store.CountQuery{OrganizationID: organizationID, Step: step, From: noon.Truncate(day).Add(span[0]), To: noon.Truncate(day).Add(span[1])}
					require.Equal(t, summed(rows, q), counts(t, b.DB, q), "%+v", q)
				}
			}
		}
	}},
	{"an event that stands for several counts as so many", func(t *testing.T, b Backend) {
		bodies := []string{
			`{"metadata":{"count":7}}`, `{"metadata":{"count":0}}`, `{"metadata":{"count":-3}}`, `{"metadata":{"count":"9"}}`, `{"metadata":{"count":1.5}}`,
			`{"metadata":{"clients":{"count":9},"text":"\"count\":9"}}`, `{"count":9}`, `"count":`, ``, `{"metadata":{"count":9223372036854775807}}`,
		}
		rows := make([]store.EventRow, len(bodies))
		for i, body := range bodies {
			rows[i] = event(int64(i))
			rows[i].Body = []byte(body)
		}
		appendEvents(t, b.DB, rows...)
		q := store.CountQuery{OrganizationID: "acme", Step: day, From: noon.Truncate(day), To: noon.Truncate(day).Add(day)}
		want := store.Count{At: q.From, Action: idp.ActionTokenIssued, Outcome: idp.Success, Count: 7 + 8 + 1_000_000_000}
		require.Equal(t, []store.Count{want}, counts(t, b.DB, q))
	}},
	{"no clock keeps an event from being appended", func(t *testing.T, b Backend) {
		clocks := []time.Time{time.Unix(-1, 0), time.Unix(0, 0), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
		for i, at := range clocks {
			row := event(int64(i))
			row.Timestamp = at.UTC()
			appendEvents(t, b.DB, row)
		}
		q := store.CountQuery{OrganizationID: "acme", Step: store.StepMinute, From: time.Unix(0, 0), To: time.Unix(3600, 0)}
		require.Equal(t, []store.Count{{At: time.Unix(0, 0).UTC(), Action: idp.ActionTokenIssued, Outcome: idp.Success, Count: 1}}, counts(t, b.DB, q))
	}},
	{"counts roll back with the events", func(t *testing.T, b Backend) {
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Events.Append(ctx, []store.EventRow{event(0)}))
			return errFact
		})
		q := store.CountQuery{Step: day, From: noon.Truncate(day), To: noon.Truncate(day).Add(day)}
		require.Empty(t, counts(t, b.DB, q))
		appendEvents(t, b.DB, event(0))
		require.Len(t, counts(t, b.DB, q), 1)
	}},
	{"prune forgets minutes, hours and days when their time has come, a batch at a time", func(t *testing.T, b Backend) {
		begin := noon.Truncate(time.Hour)
		rows := make([]store.EventRow, store.PruneBatch)
		for i := range rows {
			rows[i] = event(int64(i))
			rows[i].Timestamp = begin.Add(time.Duration(i) * time.Minute)
		}
		appendEvents(t, b.DB, rows...)
		kept := func(step time.Duration) int {
			return len(counts(t, b.DB, store.CountQuery{OrganizationID: "acme", Step: step, From: begin.Truncate(day), To: begin.Truncate(day).Add(2 * day)}))
		}
		prune := func(now time.Time) bool {
			return pruneOnce(t, b.DB, func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.Stats.Prune(ctx, now) })
		}
		hours := kept(store.StepHour)
		require.Equal(t, 2, kept(store.StepDay))
		require.False(t, prune(begin.Add(store.MinutesKept)))
		require.Equal(t, len(rows), kept(store.StepMinute))
		require.False(t, prune(begin.Add(store.MinutesKept+time.Second)))
		require.Equal(t, len(rows)-1, kept(store.StepMinute))
		require.True(t, prune(begin.Add(store.MinutesKept+2*day)), "two rows a minute: the organization's and all organizations'")
		require.Equal(t, len(rows)/2-1, kept(store.StepMinute))
		require.False(t, prune(begin.Add(store.MinutesKept+2*day)))
		require.Zero(t, kept(store.StepMinute))
		require.Equal(t, hours, kept(store.StepHour), "the other step stays")
		require.False(t, prune(begin.Add(store.HoursKept+time.Hour)))
		require.Equal(t, hours-1, kept(store.StepHour))
		require.Equal(t, 1, kept(store.StepDay), "the day began before its first event")
	}},
	{"present counts agents, credentials and sidecars of one or all", func(t *testing.T, b Backend) {
		seedPresent(t, b.DB)
		present := func(organizationID string) store.Present {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.Present, error) {
				p, err := tx.Stats.Present(ctx, organizationID, noon)
				require.NoError(t, err)
				connected, recent, err := tx.Stats.Sidecars(ctx, organizationID, noon)
				require.Equal(t, []int64{p.ConnectedSidecars, p.RecentSidecars}, []int64{connected, recent})
				return p, err
			})
		}
		a := store.Present{ActiveAgents: 2, SuspendedAgents: 1, DecommissionedAgents: 1, StagingAgents: 1, ProductionAgents: 2, Credentials: 4, ExpiringCredentials: 2, ConnectedSidecars: 1, RecentSidecars: 2}
		other := store.Present{ActiveAgents: 1, ProductionAgents: 1, Credentials: 1, ConnectedSidecars: 1, RecentSidecars: 1}
		require.Equal(t, a, present("a"))
		require.Equal(t, other, present("b"))
		require.Equal(t, store.Present{}, present("none"))
		require.Equal(t, store.Present{
			ActiveAgents: 3, SuspendedAgents: 1, DecommissionedAgents: 1, StagingAgents: 1, ProductionAgents: 3, Credentials: 5, ExpiringCredentials: 2, ConnectedSidecars: 2, RecentSidecars: 3,
		}, present(store.AnyOrganization))
	}},
}

// load appends n random events of three organizations, some of which stand for
// several, in batches of random size, with a clock that jumps.
func load(t *testing.T, db store.DB, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // G404: repeatable test data
	rows := randomEvents(n)
	for i := range rows {
		rows[i].Timestamp = noon.Add(time.Duration(random.Int64N(int64(4*day))) - 2*day).Truncate(time.Millisecond)
		if random.IntN(5) == 0 {
			rows[i].Body = fmt.Appendf(nil, `{"metadata":{"count":%d,"since":"x"},"sequence":%d}`, random.IntN(30), i)
		}
	}
	for len(rows) > 0 {
		size := min(1+random.IntN(200), len(rows))
		batch := rows[:size]
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Events.Append(ctx, batch) })
		rows = rows[size:]
	}
}

// summed is what the counts have to be.
func summed(rows []store.EventRow, q store.CountQuery) []store.Count {
	sums := map[store.Count]int64{}
	for _, e := range rows {
		if q.OrganizationID != store.AnyOrganization && e.OrganizationID != q.OrganizationID || e.Timestamp.Before(q.From) || !e.Timestamp.Before(q.To) {
			continue
		}
		sums[store.Count{At: e.Timestamp.Truncate(q.Step), Action: e.Action, Outcome: e.Outcome}] += store.Occurrences(e.Body)
	}
	var all []store.Count
	for c, n := range sums {
		c.Count = n
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b store.Count) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Outcome, b.Outcome))
	})
	return all
}

func counts(t *testing.T, db store.DB, q store.CountQuery) []store.Count {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([]store.Count, error) { return tx.Stats.Counts(ctx, q) })
}

// seedPresent makes organization "a", whose secrets age in 36 hours, and "b", where nothing ends.
func seedPresent(t *testing.T, db store.DB) {
	t.Helper()
	a, b := organization("a"), organization("b")
	b.MaxCredentialAge = 0
	insertOrganizations(t, db, a, b)
	agents := map[string]idp.Agent{}
	for id, status := range map[string]idp.Status{"one": idp.Active, "two": idp.Active, "off": idp.Suspended, "gone": idp.Decommissioned} {
		agents[id] = agent("a", id)
		one := agents[id]
		one.Status = status
		if id == "two" {
			one.Environment = "staging"
		}
		insertAgents(t, db, one)
	}
	agents["b"] = agent("b", "b-agent")
	insertAgents(t, db, agents["b"])
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		add := func(id string, of idp.Agent, change func(*idp.Credential)) {
			c := credential(of, id)
			change(&c)
			require.NoError(t, tx.Credentials.Insert(ctx, c))
		}
		add("ages", agents["one"], func(*idp.Credential) {})
		add("aged", agents["one"], func(c *idp.Credential) { c.SecretSetAt = noon.Add(-36 * time.Hour) })
		add("expired", agents["one"], func(c *idp.Credential) { c.ExpiresAt = noon })
		add("expires", agents["one"], func(c *idp.Credential) { c.ExpiresAt = noon.Add(time.Millisecond) })
		add("revoked", agents["one"], func(c *idp.Credential) { c.Status, c.RevokedAt = idp.CredentialRevoked, noon })
		add("key", agents["two"], func(c *idp.Credential) { c.Method, c.SecretSetAt = idp.MethodPrivateKey, noon.Add(-36*time.Hour) })
		add("off", agents["off"], func(*idp.Credential) {})
		add("b", agents["b"], func(c *idp.Credential) { c.ExpiresAt = noon.Add(store.ExpiringWithin) })
		return nil
	})
	for id, ago := range map[string]time.Duration{"now": 0, "hour": 59 * time.Minute, "old": time.Hour} {
		s := sidecar("one", id)
		s.OrganizationID, s.SeenAt = "a", noon.Add(-ago)
		putSidecars(t, db, s)
	}
	s := sidecar("b-agent", "now")
	s.OrganizationID, s.SeenAt = "b", noon.Add(-store.ConnectedWithin+time.Millisecond)
	putSidecars(t, db, s)
}
