package storetest

import (
	"bytes"
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

var eventFacts = []fact{
	{"get returns what was appended", func(t *testing.T, b Backend) {
		want := event(0)
		want.Timestamp, want.Body = zoned, bytes.Repeat([]byte{0xff, 0x00, '{'}, 64<<10/3)
		appendEvents(t, b.DB, want)
		want.Timestamp = noon
		require.Equal(t, want, getEvent(t, b.DB, "acme", want.ID))
		require.Equal(t, want, getEvent(t, b.DB, store.AnyOrganization, want.ID))
		for _, key := range [][2]string{{"other", want.ID}, {"acme", "none"}, {"ACME", want.ID}} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.EventRow, error) {
				return tx.Events.Get(ctx, key[0], key[1])
			})
		}
	}},
	{"sequences start at 0 and leave no gap", func(t *testing.T, b Backend) {
		wrong := func(rows ...store.EventRow) {
			t.Helper()
			require.Error(t, b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Events.Append(ctx, rows) }))
		}
		wrong(event(1))
		appendEvents(t, b.DB, event(0), event(1))
		wrong(event(3))
		wrong(event(2), event(4))
		appendEvents(t, b.DB, event(2))
		require.Len(t, rangeEvents(t, b.DB, store.AnyOrganization, 0, 10), 3)
	}},
	{"a time range is found without reading the log", func(t *testing.T, b Backend) {
		window := func(from, to time.Time) (first, end int64) {
			require.NoError(t, b.DB.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				first, end, err = tx.Events.Window(ctx, from, to)
				return err
			}))
			return first, end
		}
		first, end := window(time.Time{}, time.Time{})
		require.GreaterOrEqual(t, first, end, "an empty log has nothing")
		rows := randomEvents(6000)
		appendEvents(t, b.DB, rows...)
		last := rows[len(rows)-1].Timestamp
		for _, span := range [][2]time.Time{
			{}, {noon, last}, {noon.Add(time.Minute), noon.Add(2 * time.Minute)}, {last, time.Time{}}, {time.Time{}, noon.Add(time.Millisecond)}, {noon.Add(4 * time.Minute), noon.Add(5 * time.Minute)},
		} {
			first, end := window(span[0], span[1])
			for _, row := range rows {
				if !row.Timestamp.Before(span[0]) && (span[1].IsZero() || row.Timestamp.Before(span[1])) {
					require.LessOrEqual(t, first, row.Sequence, span)
					require.Less(t, row.Sequence, end, span)
				}
			}
		}
		first, _ = window(last, time.Time{})
		require.Positive(t, first, "what is older is not read")
		_, end = window(time.Time{}, noon.Add(time.Millisecond))
		require.Less(t, end, int64(6000), "nor what is younger")
		first, end = window(last.Add(time.Hour), time.Time{})
		require.GreaterOrEqual(t, first, end)
		first, end = window(time.Time{}, noon.Add(-time.Hour))
		require.GreaterOrEqual(t, first, end)
	}},
	{"a sequence and an id are taken once", func(t *testing.T, b Backend) {
		appendEvents(t, b.DB, event(0), event(1))
		sameSequence, sameID := event(1), event(2)
		sameSequence.ID, sameID.ID = "fresh", event(0).ID
		for _, row := range []store.EventRow{sameSequence, sameID} {
			refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error {
				return tx.Events.Append(ctx, []store.EventRow{row})
			})
		}
	}},
	{"appended rows roll back with the transaction", func(t *testing.T, b Backend) {
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Events.Append(ctx, []store.EventRow{event(0)}))
			return errFact
		})
		require.Empty(t, listEvents(t, b.DB, store.EventFilter{Limit: 10}))
		appendEvents(t, b.DB, event(0))
	}},
	{"the log refuses UPDATE and DELETE from anyone", func(t *testing.T, b Backend) {
		appendEvents(t, b.DB, event(0), event(1))
		for _, tamper := range []string{
			"UPDATE events SET sequence = 7 WHERE sequence = 1",
			"UPDATE events SET sequence = sequence",
			"DELETE FROM events WHERE sequence = 1",
			"DELETE FROM events",
		} {
			require.Error(t, b.Exec(t.Context(), tamper), tamper)
		}
		require.NoError(t, b.Exec(t.Context(), "DELETE FROM events WHERE sequence = 99"), "the statement itself is fine")
		require.Equal(t, []store.EventRow{event(0), event(1)}, rangeEvents(t, b.DB, store.AnyOrganization, 0, 10))
	}},
	{"range is oldest first, from a sequence, of one or any organization", func(t *testing.T, b Backend) {
		rows := randomEvents(6000)
		appendEvents(t, b.DB, rows...)
		for _, organizationID := range []string{store.AnyOrganization, "a", "b", "none"} {
			for _, from := range []int64{0, 1, 4095, 4096, 5999, 6000} {
				want := slices.DeleteFunc(slices.Clone(rows), func(e store.EventRow) bool {
					return e.Sequence < from || organizationID != "" && e.OrganizationID != organizationID
				})
				got := rangeEvents(t, b.DB, organizationID, from, 300)
				require.Equal(t, want[:min(len(want), 300)], got, "%s from %d", organizationID, from)
			}
		}
	}},
	{"list answers every filter, page by page, newest first", func(t *testing.T, b Backend) {
		rows := randomEvents(6000)
		appendEvents(t, b.DB, rows...)
		for _, filter := range eventFilters() {
			for range 3 {
				got := listEvents(t, b.DB, filter)
				requireSame(t, pageOf(rows, filter), got, filter)
				if len(got) < filter.Limit {
					break
				}
				filter.Before = got[len(got)-1].Sequence
			}
		}
	}},
	{"from is inclusive and to exclusive, to the nanosecond", func(t *testing.T, b Backend) {
		rows := randomEvents(8200) // three segments
		appendEvents(t, b.DB, rows...)
		for _, sequence := range []int64{0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 8199} {
			e := rows[sequence]
			for _, narrow := range []store.EventFilter{
				{}, {OrganizationID: e.OrganizationID}, {AgentID: e.AgentID}, {Action: e.Action, Outcome: e.Outcome}, {OrganizationID: e.OrganizationID, AgentID: e.AgentID},
			} {
				newest := func(from, to time.Duration) bool {
					f := narrow
					f.Before, f.Limit, f.From, f.To = sequence+1, 1, e.Timestamp.Add(from), e.Timestamp.Add(to)
					got := listEvents(t, b.DB, f)
					return len(got) == 1 && got[0].Sequence == sequence
				}
				require.True(t, newest(0, time.Millisecond), "%d %+v", sequence, narrow)
				require.True(t, newest(-time.Hour, time.Millisecond), "%d %+v", sequence, narrow)
				require.True(t, newest(0, time.Hour), "%d %+v", sequence, narrow)
				require.False(t, newest(-time.Hour, 0), "%d %+v", sequence, narrow)
				require.False(t, newest(time.Nanosecond, time.Hour), "%d %+v", sequence, narrow)
				require.True(t, newest(-time.Hour, time.Nanosecond), "%d %+v", sequence, narrow)
			}
		}
	}},
	{"what an agent did to itself is not what was done to it", othersDeeds},
	{"a list while newer events arrive repeats and misses none", func(t *testing.T, b Backend) {
		next := int64(0)
		grow := func(n int) {
			for range n {
				appendEvents(t, b.DB, event(next))
				next++
			}
		}
		grow(20)
		filter := store.EventFilter{OrganizationID: "acme", Limit: 5}
		for want := int64(19); want >= 0; {
			for _, row := range listEvents(t, b.DB, filter) {
				require.Equal(t, want, row.Sequence)
				want, filter.Before = want-1, row.Sequence
			}
			grow(2)
			if filter.Before == 0 {
				break
			}
		}
	}},
}

// pageOf is the page that the filter asks for, of rows in order.
func pageOf(rows []store.EventRow, f store.EventFilter) (page []store.EventRow) {
	for i := len(rows) - 1; i >= 0 && len(page) < f.Limit; i-- {
		if matches(f, rows[i]) {
			page = append(page, rows[i])
		}
	}
	return page
}

// requireSame is require.Equal, and sooner where it is so.
func requireSame(t *testing.T, want, got []store.EventRow, f store.EventFilter) {
	t.Helper()
	same := slices.EqualFunc(want, got, func(a, b store.EventRow) bool {
		return a.Sequence == b.Sequence && a.ID == b.ID && a.OrganizationID == b.OrganizationID && a.AgentID == b.AgentID &&
			a.Action == b.Action && a.Outcome == b.Outcome && a.Timestamp == b.Timestamp && bytes.Equal(a.Body, b.Body)
	})
	if !same {
		require.Equal(t, want, got, "%+v", f)
	}
}

// matches is what the filter means.
func matches(f store.EventFilter, e store.EventRow) bool {
	return (f.OrganizationID == "" || e.OrganizationID == f.OrganizationID) && (f.AgentID == "" || e.AgentID == f.AgentID) &&
		(f.TargetAgentID == "" || e.Target() == f.TargetAgentID) &&
		(f.Action == "" || e.Action == f.Action) && (f.Outcome == "" || e.Outcome == f.Outcome) &&
		(f.From.IsZero() || !e.Timestamp.Before(f.From)) && (f.To.IsZero() || e.Timestamp.Before(f.To)) &&
		(f.Before == 0 || e.Sequence < f.Before)
}

// eventFilters are mixes of values for randomEvents: all of those without a
// target, and of those with one.
func eventFilters() []store.EventFilter {
	filters := targetFilters()
	for _, organizationID := range []string{"", "a", "b", "none"} {
		for _, agentID := range []string{"", "agent-0", "agent-19", "none"} {
			for _, action := range []idp.Action{"", idp.ActionTokenIssued, idp.ActionAgentCreated, "none"} {
				for _, outcome := range []idp.Outcome{"", idp.Success, idp.Denied} {
					for _, span := range [][2]time.Duration{{0, 0}, {200 * time.Second, 0}, {0, 200 * time.Second}, {100 * time.Second, 130 * time.Second}} {
						f := store.EventFilter{OrganizationID: organizationID, AgentID: agentID, Action: action, Outcome: outcome, Limit: 25}
						if span[0] > 0 {
							f.From = noon.Add(span[0])
						}
						if span[1] > 0 {
							f.To = noon.Add(span[1])
						}
						filters = append(filters, f)
					}
				}
			}
		}
	}
	return filters
}

// randomEvents are the same n on every call. Their clock runs at 20 events a
// second and once steps back by a minute.
func randomEvents(n int) []store.EventRow {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: repeatable test data
	kinds := []struct {
		action  idp.Action
		outcome idp.Outcome
	}{
		{idp.ActionTokenIssued, idp.Success}, {idp.ActionTokenIssued, idp.Success}, {idp.ActionTokenIssued, idp.Success},
		{idp.ActionTokenRefused, idp.Denied}, {idp.ActionTokenIssued, idp.Failure}, {idp.ActionDecisionDenied, idp.Denied},
	}
	rows := make([]store.EventRow, n)
	for i := range rows {
		e := event(int64(i))
		k := kinds[random.IntN(len(kinds))]
		e.Action, e.Outcome = k.action, k.outcome
		if i%1000 == 17 {
			e.Action, e.Outcome = idp.ActionAgentCreated, idp.Success
		}
		agent := random.IntN(20)
		e.AgentID, e.OrganizationID = fmt.Sprintf("agent-%d", agent), []string{"a", "b", "c"}[agent%3]
		if i%5 == 2 {
			e.Body = fmt.Appendf(nil, `{"metadata":{"targetAgentId":"agent-%d"},"sequence":%d}`, i%3, i)
		}
		e.Timestamp = noon.Add(time.Duration(i) * 50 * time.Millisecond)
		if i > 5000 {
			e.Timestamp = e.Timestamp.Add(-time.Minute)
		}
		rows[i] = e
	}
	return rows
}

func appendEvents(t *testing.T, db store.DB, rows ...store.EventRow) {
	t.Helper()
	for batch := range slices.Chunk(rows, 500) {
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Events.Append(ctx, batch) })
	}
}

func getEvent(t *testing.T, db store.DB, organizationID, id string) store.EventRow {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (store.EventRow, error) {
		return tx.Events.Get(ctx, organizationID, id)
	})
}

func listEvents(t *testing.T, db store.DB, f store.EventFilter) []store.EventRow {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([]store.EventRow, error) {
		rows, err := tx.Events.List(ctx, f)
		return append([]store.EventRow{}, rows...), err
	})
}

func rangeEvents(t *testing.T, db store.DB, organizationID string, from int64, limit int) []store.EventRow {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([]store.EventRow, error) {
		rows, err := tx.Events.Range(ctx, organizationID, from, limit)
		return append([]store.EventRow{}, rows...), err
	})
}
