package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var sampleTime = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

// sample is the event at a sequence, of an organization that is not known.
func sample(sequence int64) store.EventRow {
	return store.EventRow{
		Sequence: sequence, ID: fmt.Sprintf("event-%d", sequence), OrganizationID: "acme", AgentID: "agent",
		Action: idp.ActionTokenIssued, Outcome: idp.Success, Timestamp: sampleTime, Body: fmt.Appendf(nil, `{"sequence":%d}`, sequence),
	}
}

func at(sequence int64, when time.Time) store.EventRow {
	e := sample(sequence)
	e.Timestamp = when
	return e
}

func appendEvents(t *testing.T, s *Store, rows ...store.EventRow) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Events.Append(ctx, rows) }))
}

func listed(t *testing.T, s *Store, f store.EventFilter) []store.EventRow {
	t.Helper()
	var rows []store.EventRow
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.Events.List(ctx, f)
		return err
	}))
	return rows
}

func oldest(t *testing.T, s *Store, organizationID string) []store.EventRow {
	t.Helper()
	var rows []store.EventRow
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.Events.Range(ctx, organizationID, 0, 100)
		return err
	}))
	return rows
}

func hidden(t *testing.T, s *Store) int64 {
	t.Helper()
	sequence := int64(-2)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		sequence, err = tx.Events.Hidden(ctx)
		return err
	}))
	return sequence
}

func TestNoClockIsWithoutAPartition(t *testing.T) {
	s := opened(t)
	day := func(year int, month time.Month) time.Time {
		return time.Date(year, month, 28, 23, 59, 59, 999_000_000, time.UTC)
	}
	rows := []store.EventRow{
		at(0, day(2026, 3)), at(1, day(2026, 4)), at(2, day(1, 1)), at(3, day(1969, 12)), at(4, time.UnixMilli(0)), at(5, day(9999, 12)), at(6, day(2026, 3)),
		at(7, time.Date(2026, 2, 28, 23, 59, 59, 999_000_000, time.UTC)), at(8, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)),
	}
	appendEvents(t, s, rows...)
	appendEvents(t, s, at(9, day(2031, 7)))
	got := oldest(t, s, store.AnyOrganization)
	require.Len(t, got, 10)
	for i, e := range rows {
		require.True(t, e.Timestamp.Equal(got[i].Timestamp), i)
	}
	require.Equal(t, int64(-1), hidden(t, s))
	require.Equal(t, got[7:9], oldest(t, s, "acme")[7:9])
	february := listed(t, s, store.EventFilter{From: day(2026, 2), To: day(2026, 2).Add(time.Millisecond), Limit: 10})
	require.Len(t, february, 1)
	require.Equal(t, int64(7), february[0].Sequence)
}

func TestAnAppendThatNeedsAPartitionRollsBackWithIt(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	require.ErrorIs(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.Events.Append(ctx, []store.EventRow{sample(0)}))
		return errCaller
	}), errCaller)
	appendEvents(t, s, sample(0))
	require.Len(t, oldest(t, s, "acme"), 1)
}

// A table that is made while a verification reads must not wait for its end.
func TestAPartitionIsMadeBesideAReader(t *testing.T) {
	s := opened(t)
	appendEvents(t, s, sample(0))
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		before, err := tx.Events.Range(ctx, store.AnyOrganization, 0, 10)
		require.NoError(t, err)
		appendEvents(t, s, at(1, sampleTime.AddDate(0, 1, 0)))
		after, err := tx.Events.Range(ctx, store.AnyOrganization, 0, 10)
		require.NoError(t, err)
		require.Equal(t, before, after)
		return nil
	}))
	require.Len(t, oldest(t, s, "acme"), 2)
}

func TestMaintainMakesTheMonthsToCome(t *testing.T) {
	address := fresh(t)
	one, other := openURL(t, address), openURL(t, address)
	now := time.Date(2040, time.January, 31, 23, 0, 0, 0, time.UTC)
	done := make(chan error, 2)
	for _, s := range []*Store{one, other} {
		go func() { done <- s.Maintain(context.Background(), now) }()
	}
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.NoError(t, one.Maintain(t.Context(), now))
	for month, want := range map[string]int{"2039_12": 0, "2040_01": 2, "2040_02": 2, "2040_03": 2, "2040_04": 0} {
		require.Equal(t, want, count(t, address, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ ('^events_.*_' || $1 || '$')", month), month)
	}
	this := time.Now().UTC()
	for ahead := range 3 {
		month := time.Date(this.Year(), this.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, ahead, 0).Format("2006_01")
		require.Equal(t, 2, count(t, address, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ ('^events_.*_' || $1 || '$')", month), "by the migration: %s", month)
	}
}

// The class is the plan when the event is written; an organization may change it.
func TestEventsLieInTheirRetentionClass(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	organization := idp.Organization{ID: "acme", Name: "Acme", Plan: idp.PlanFree, CreatedAt: sampleTime, UpdatedAt: sampleTime, Epoch: 1, Revision: 1}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.Insert(ctx, organization) }))
	stranger := sample(1)
	stranger.OrganizationID = "stranger"
	appendEvents(t, s, sample(0), stranger)
	organization.Plan = idp.PlanCustom
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.Update(ctx, organization) }))
	appendEvents(t, s, sample(2))
	require.Equal(t, 1, count(t, address, "SELECT count(*) FROM events_free_2026_03 WHERE sequence = 0"))
	require.Equal(t, 2, count(t, address, "SELECT count(*) FROM events_custom_2026_03 WHERE sequence IN (1, 2)"))
	require.Equal(t, []store.EventRow{sample(2), sample(0)}, listed(t, s, store.EventFilter{OrganizationID: "acme", Limit: 10}))
}

// What retention will do leaves the log able to go on, and what is left listed and unhidden.
func TestTheLogOutlivesItsPartitions(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	appendAll(t, s, sample(0), at(1, sampleTime.AddDate(0, 1, 0)))
	drop := func(month string) {
		require.NoError(t, execute(t.Context(), address, "ALTER TABLE events_custom DETACH PARTITION events_custom_"+month))
		require.NoError(t, execute(t.Context(), address, "DROP TABLE events_custom_"+month))
	}
	drop("2026_03")
	require.Equal(t, int64(-1), hidden(t, s))
	require.Len(t, listed(t, s, store.EventFilter{OrganizationID: "acme", Limit: 10}), 1)
	drop("2026_04")
	require.Empty(t, listed(t, s, store.EventFilter{AgentID: "agent", Limit: 10}))
	require.ErrorIs(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Events.Append(ctx, []store.EventRow{sample(0)})
	}), idp.ErrConflict)
	appendEvents(t, s, sample(2))
	require.Equal(t, []store.EventRow{sample(2)}, oldest(t, s, "acme"))
}

// Changed dictionaries or segments keep events from lists: that must be found.
func TestHiddenEventsAreFound(t *testing.T) {
	other := sample(1)
	other.Action, other.OrganizationID = idp.ActionAgentCreated, "other"
	other.Body = []byte(`{"metadata":{"targetAgentId":"target"}}`)
	rows := []store.EventRow{sample(0), other}
	for sequence := int64(2); sequence < 4096; sequence++ {
		rows = append(rows, sample(sequence))
	}
	alone := other // in its segment
	alone.Sequence, alone.ID, alone.Body = 4096, "event-4096", []byte("{}")
	rows = append(rows, alone)
	for _, c := range []struct {
		tamper string
		want   int64
	}{
		{"DELETE FROM event_verbs WHERE action = 'agent.created'", 1},
		{"DELETE FROM event_kinds WHERE organization_id = 'other'", 1},
		{"UPDATE event_kinds SET verb = (SELECT verb FROM event_verbs WHERE action = 'token.issued') WHERE organization_id = 'other'", 1},
		{"UPDATE events SET verb = (SELECT verb FROM event_verbs WHERE action = 'token.issued') WHERE sequence = 1", 1},
		{"UPDATE events SET timestamp = timestamp + 1 WHERE sequence = 1", 1},
		{"DELETE FROM event_targets", 1},
		{"UPDATE event_targets SET target_agent_id = 'other'", 1},
		{"UPDATE event_targets SET kind = kind + 1", 1},
		{"UPDATE event_targets SET agent_id = 'other'", 1},
		{"UPDATE event_targets SET timestamp = timestamp + 1", 1},
		{"UPDATE event_targets SET retention = 'free'", 1},
		{"DELETE FROM event_segments WHERE segment = 1", 4096},
		{"UPDATE event_segments SET lowest = lowest + 1 WHERE segment = 1", 4096},
		{"UPDATE event_segments SET highest = highest - 1 WHERE segment = 1", 4096},
	} {
		address := fresh(t)
		s := openURL(t, address)
		appendEvents(t, s, rows...)
		require.Equal(t, int64(-1), hidden(t, s))
		require.NoError(t, execute(t.Context(), address, "BEGIN; SET LOCAL session_replication_role = replica; "+c.tamper+"; COMMIT"))
		require.Equal(t, c.want, hidden(t, s), c.tamper)
	}
}

func TestAppendOfNothing(t *testing.T) {
	s := opened(t)
	appendEvents(t, s)
	require.Empty(t, oldest(t, s, store.AnyOrganization))
}

func TestAConflictInASavepointLeavesTheTransactionUsable(t *testing.T) {
	s := opened(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.Events.Append(ctx, []store.EventRow{sample(0)}))
		require.ErrorIs(t, tx.Events.Append(ctx, []store.EventRow{sample(5)}), idp.ErrConflict)
		return tx.Events.Append(ctx, []store.EventRow{sample(1)})
	}))
	require.Len(t, oldest(t, s, "acme"), 2)
}
