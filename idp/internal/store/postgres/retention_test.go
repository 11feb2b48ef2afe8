package postgres

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

var sampleMonth = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// takeAll records a pruning of the events 0 to n-1.
func takeAll(t *testing.T, s *Store, n int) {
	t.Helper()
	segment := store.PrunedSegment{Pruning: [32]byte{1}}
	for sequence := range n {
		segment.Bitmap[sequence/8] |= 1 << (sequence % 8)
	}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Retention.Record(ctx, []store.PrunedSegment{segment})
	}))
}

func dropped(t *testing.T, s *Store) bool {
	t.Helper()
	done, err := s.Drop(t.Context(), store.ClassCustom, sampleMonth)
	require.NoError(t, err)
	return done
}

// The role that serves can take what is recorded and old, by the one function
// that looks, and nothing else.
func TestTheServiceRolePrunesByTheRulesOnly(t *testing.T) {
	owner, service := separated(t)
	s := openURL(t, service)
	appendAll(t, s, sample(0), sample(1), at(2, time.Now()))
	for _, statement := range []string{
		"DROP TABLE events_custom_2026_03", "DELETE FROM events", "DELETE FROM events_custom_2026_03", "TRUNCATE events_record",
		"UPDATE pruned_segments SET segment = 1", "DELETE FROM pruned_segments", "TRUNCATE pruned_segments", "DROP TABLE pruned_segments",
		"INSERT INTO events_record SELECT * FROM events",
		"CREATE OR REPLACE FUNCTION event_prune(class text, at bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
	} {
		require.Error(t, execute(t.Context(), service, statement), statement)
	}
	for _, statement := range []string{"DELETE FROM pruned_segments", "UPDATE pruned_segments SET segment = 1", "TRUNCATE pruned_segments", "TRUNCATE events_record"} {
		require.ErrorContains(t, execute(t.Context(), owner, statement), "permission denied", statement)
	}
	require.False(t, dropped(t, s), "nothing is recorded")
	takeAll(t, s, 3)
	_, err := s.Drop(t.Context(), store.ClassCustom, time.Now())
	require.ErrorContains(t, err, "too young")
	for _, class := range []store.Class{store.ClassRecord, "", "head; DROP TABLE events"} {
		_, err := s.Drop(t.Context(), class, sampleMonth)
		require.ErrorContains(t, err, "are not pruned", class)
	}
	require.ErrorContains(t, execute(t.Context(), service, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT event_prune('custom', 1773000000000)"), "appended meanwhile")
	require.True(t, dropped(t, s))
	require.Equal(t, []store.EventRow{at(2, time.Now())}[0].Sequence, oldest(t, s, "acme")[0].Sequence)
	require.Zero(t, count(t, owner, "SELECT count(*) FROM pg_class WHERE relname = 'events_custom_2026_03'"))
}

func TestPrunedSegmentsRefuseEvenASuperuser(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	takeAll(t, s, 1)
	for _, statement := range []string{"UPDATE pruned_segments SET segment = 1", "DELETE FROM pruned_segments", "TRUNCATE pruned_segments", "TRUNCATE events_record"} {
		require.ErrorContains(t, execute(t.Context(), address, statement), "append-only", statement)
	}
}

// A reader that does not end keeps the table; it and the writers are held up
// for no longer than the drop may wait.
func TestADropDoesNotWaitForReaders(t *testing.T) {
	s := opened(t)
	appendAll(t, s, sample(0), sample(1))
	takeAll(t, s, 2)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Events.Range(ctx, "", 0, 10)
		require.NoError(t, err)
		require.False(t, dropped(t, s))
		appendEvents(t, s, sample(2))
		rows, err := tx.Events.Range(ctx, "", 0, 10)
		require.Len(t, rows, 2)
		return err
	}))
	require.False(t, dropped(t, s), "an event came after the record")
	require.Len(t, oldest(t, s, "acme"), 3)
}

func TestAMonthWithoutEventsGoesToo(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	require.NoError(t, s.Maintain(t.Context(), sampleMonth))
	var due store.DueMonth
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		due, err = tx.Retention.Due(ctx, store.ClassCustom, sampleMonth.AddDate(0, 1, 0))
		return err
	}))
	require.Equal(t, store.DueMonth{Start: sampleMonth, First: 0, Last: -1}, due)
	require.True(t, dropped(t, s))
	require.Zero(t, count(t, address, "SELECT count(*) FROM pg_class WHERE relname = 'events_custom_2026_03'"))
	require.Equal(t, 2, count(t, address, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname IN ('events_free_2026_03', 'events_custom_2026_04')"))
}

// until is the schema as it was before the migration.
func until(t *testing.T, name string) fs.FS {
	t.Helper()
	names, err := fs.Glob(schema(), "*.sql")
	require.NoError(t, err)
	before := fstest.MapFS{}
	for _, n := range names {
		if n < name {
			content, err := fs.ReadFile(schema(), n)
			require.NoError(t, err)
			before[n] = &fstest.MapFile{Data: content}
		}
	}
	return before
}

// What tells plans is kept for ever, also from before.
func TestFoundingsMoveToTheirClass(t *testing.T) {
	address := pgtest.URL(t)
	require.NoError(t, migrate(t.Context(), address, until(t, "0006"), quietly))
	for _, statement := range []string{
		"SELECT event_month(1773000000000)", "SELECT event_kind('acme', action, 'success') FROM unnest(ARRAY['organization.created', 'agent.created']) AS action",
		`INSERT INTO events SELECT place - 1, 1773000000000, k.kind, k.verb, 'free', 'event-' || place, '', '{}'
		FROM unnest(ARRAY['agent.created', 'organization.created', 'agent.created']) WITH ORDINALITY AS a (action, place) JOIN event_verbs AS v USING (action) JOIN event_kinds AS k ON k.verb = v.verb`,
	} {
		require.NoError(t, execute(t.Context(), address, statement), statement)
	}
	require.NoError(t, migrateQuietly(t.Context(), address))
	s := openURL(t, address)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		classes, err := tx.Retention.Classes(ctx, 0, 9)
		require.Equal(t, map[int64]store.Class{0: store.ClassFree, 1: store.ClassRecord, 2: store.ClassFree}, classes)
		return err
	}))
	require.Equal(t, int64(-1), hidden(t, s))
	require.ErrorContains(t, execute(t.Context(), address, "DELETE FROM events"), "append-only")
	require.ErrorContains(t, execute(t.Context(), address, "DELETE FROM events_free"), "append-only")
	appendEvents(t, s, sample(3))
	require.Equal(t, 0, count(t, address, "SELECT count(*) FROM information_schema.role_table_grants WHERE table_name = 'events' AND privilege_type = 'DELETE'"))
}
