package sqlite

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// migratedFrom opens a store that had the first migrations only when the
// statements were run.
func migratedFrom(t *testing.T, migrations int, statements ...string) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agentidp.db")
	require.NoError(t, create(path))
	names, err := fs.Glob(schema(), "*.sql")
	require.NoError(t, err)
	before := fstest.MapFS{}
	for _, name := range names[:migrations] {
		content, err := fs.ReadFile(schema(), name)
		require.NoError(t, err)
		before[name] = &fstest.MapFile{Data: content}
	}
	db := openDB(path, writerPragmas, 1)
	require.NoError(t, migrate(t.Context(), db, before))
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, db.Close())
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Events from before there were classes get the plan of their time.
func TestEventsOfBeforeGetTheirClass(t *testing.T) {
	s := migratedFrom(t, 6,
		"INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision) VALUES ('acme', 'a', 'free', 0, 0, 0, 1), ('grown', 'g', 'custom', 0, 0, 0, 1)",
		`INSERT INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body) VALUES
			(0, 'e0', 'nobody', '', 'agent.created', 'success', 0, CAST('{}' AS BLOB)),
			(1, 'e1', 'grown', '', 'organization.created', 'success', 0, CAST('{"metadata":{"plan":"free"}}' AS BLOB)),
			(2, 'e2', 'grown', '', 'agent.created', 'success', 0, CAST('{}' AS BLOB)),
			(3, 'e3', 'acme', '', 'agent.created', 'success', 0, CAST('{}' AS BLOB)),
			(4, 'e4', 'grown', '', 'organization.updated', 'success', 0, CAST('{"metadata":{"planFrom":"free","planTo":"custom"}}' AS BLOB)),
			(5, 'e5', 'grown', '', 'agent.created', 'success', 0, CAST('{}' AS BLOB)),
			(6, 'e6', 'acme', '', 'organization.updated', 'success', 0, CAST('{"metadata":{"members":["name"]}}' AS BLOB)),
			(7, 'e7', 'acme', '', 'agent.created', 'success', 0, CAST('{}' AS BLOB))`)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		classes, err := tx.Retention.Classes(ctx, 0, 9)
		require.Equal(t, map[int64]store.Class{0: "custom", 1: "record", 2: "free", 3: "free", 4: "record", 5: "custom", 6: "record", 7: "free"}, classes)
		return err
	}))
	for _, statement := range []string{"UPDATE events SET retention = 'record'", "DELETE FROM events"} {
		_, err := s.writer.conn.ExecContext(t.Context(), statement)
		require.ErrorContains(t, err, "append-only", statement)
	}
}

func TestRetentionPlans(t *testing.T) {
	s := memory(t)
	all := statements(t)
	for name, step := range map[string]string{
		"retentionOldest":    "SEARCH events USING COVERING INDEX events_by_retention (retention=?)",
		"retentionSpan":      "SEARCH events USING COVERING INDEX events_by_retention (retention=? AND timestamp>? AND timestamp<?)",
		"retentionSequences": "SEARCH events USING COVERING INDEX events_by_retention (retention=? AND timestamp>? AND timestamp<?",
		"retentionDelete":    "SEARCH e USING COVERING INDEX events_by_retention (retention=? AND timestamp>? AND timestamp<?)",
		"retentionClasses":   "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
		"retentionSegments":  "SEARCH pruned_segments USING PRIMARY KEY (segment>? AND segment<?)",
	} {
		require.Contains(t, explain(t, s, all[name]), step, name)
	}
}

func TestADropEndsWithItsContext(t *testing.T) {
	s := memory(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Drop(ctx, store.ClassFree, time.Now())
	require.ErrorIs(t, err, context.Canceled)
}
