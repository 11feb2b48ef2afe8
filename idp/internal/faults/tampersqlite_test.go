package faults

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// sqliteLog is a file, copied anew for every edit.
type sqliteLog struct {
	dir string
	survey
}

func (s *sqliteLog) path(name string) string { return filepath.Join(s.dir, name+".db") }

func sqliteEvidence(t *testing.T, write func(db store.DB, old func())) evidence {
	t.Helper()
	s := &sqliteLog{dir: t.TempDir()}
	db, err := sqlite.Open(t.Context(), s.path("log"))
	require.NoError(t, err)
	states := 0
	keep := func(name string) {
		raw := database(t, "sqlite", s.path("log"))
		_, err := raw.Exec("VACUUM INTO '" + s.path(name) + "'")
		require.NoError(t, err)
		require.NoError(t, raw.Close())
		raw = database(t, "sqlite", s.path(name))
		_, err = raw.Exec("PRAGMA journal_mode = wal")
		require.NoError(t, err)
		require.NoError(t, raw.Close())
	}
	write(db, func() { keep(fmt.Sprint("old", states)); states++ })
	require.NoError(t, db.Close())
	keep("whole")
	raw := database(t, "sqlite", s.path("whole"))
	var triggers []string
	each(t, raw, "SELECT name FROM sqlite_master WHERE type = 'trigger'", func(scan func(...any)) {
		var name string
		scan(&name)
		triggers = append(triggers, name)
	})
	for _, name := range triggers {
		_, err := raw.Exec("DROP TRIGGER " + name)
		require.NoError(t, err)
	}
	s.survey = take(t, raw)
	require.NoError(t, raw.Close())
	s.restore(t)
	return s
}

// put makes a kept copy the log.
func (s *sqliteLog) put(t *testing.T, name string) {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(s.path("log") + suffix); !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
		}
	}
	content, err := os.ReadFile(s.path(name))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.path("log"), content, 0o600))
}

func (s *sqliteLog) older(t *testing.T, n int) { t.Helper(); s.put(t, fmt.Sprint("old", n)) }

func (s *sqliteLog) restore(t *testing.T) { t.Helper(); s.put(t, "whole") }

func (s *sqliteLog) rows(t *testing.T) map[int64]string {
	t.Helper()
	raw := database(t, "sqlite", s.path("log"))
	defer raw.Close()
	return rows(t, raw, "organization_id || ' ' || action || ' ' || outcome")
}

func (s *sqliteLog) store(t *testing.T) (store.DB, func()) {
	t.Helper()
	db, err := sqlite.OpenReadOnly(t.Context(), s.path("log"))
	require.NoError(t, err)
	return db, func() { require.NoError(t, db.Close()) }
}

func (s *sqliteLog) edit(t *testing.T, change func(tx *sql.Tx) error) error {
	t.Helper()
	raw := database(t, "sqlite", s.path("log")+"?_pragma=synchronous(OFF)")
	defer raw.Close()
	tx, err := raw.Begin()
	require.NoError(t, err)
	if err := change(tx); err != nil {
		require.NoError(t, tx.Rollback())
		return err
	}
	require.NoError(t, tx.Commit())
	return nil
}

const sqliteRow = "INSERT INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body, retention) SELECT "

func (s *sqliteLog) edits() map[string]edit {
	const rest = ", organization_id, agent_id, action, outcome, timestamp, body, retention FROM events WHERE sequence = $2"
	const held = " WHERE EXISTS (SELECT 1 FROM events AS e WHERE e.segment = event_kinds.segment AND e.organization_id = event_kinds.organization_id AND e.action = event_kinds.action AND e.outcome = event_kinds.outcome)"
	const pruning = "segment || hex(pruning)"
	return map[string]edit{
		"body":   columns("events", "sequence", "body"),
		"column": either(columns("events", "sequence", "sequence", "event_id", "organization_id", "agent_id", "action", "timestamp"), other("outcome", "success", "failure", "denied")),
		"class":  other("retention", "free", "custom", "record"),
		"delete": s.remove,
		"insert": either(
			s.insert(sqliteRow+"$1, event_id || '-'"+rest, s.holes),
			s.insert(sqliteRow+"$1, event_id || '-'"+rest, []int64{s.next}),
		),
		"swap": s.swap,
		"retime": either(later, func(r *rand.Rand, tx *sql.Tx) error {
			return touch(tx, `UPDATE events SET timestamp = timestamp - 31536000000, body = CAST(replace(CAST(body AS TEXT), '"timestamp":"2025', '"timestamp":"2024') AS BLOB) WHERE sequence = $1`, s.any(r))
		}),
		"index": either(
			func(r *rand.Rand, tx *sql.Tx) error {
				row, err := anyRow(r, tx, "SELECT segment, organization_id, action, outcome FROM event_kinds"+held+" ORDER BY 1, 2, 3, 4", 4)
				if err != nil {
					return err
				}
				const one = " WHERE segment = $1 AND organization_id = $2 AND action = $3 AND outcome = $4"
				if r.IntN(2) == 0 {
					return touch(tx, "DELETE FROM event_kinds"+one, row...)
				}
				return touch(tx, "UPDATE event_kinds SET action = $5"+one, append(row, flip(r, row[2]))...)
			},
			narrow("segment"),
		),
		"tree hash": either(
			columns("tree_hashes", "chunk", "hashes"),
			columns("tree_hashes", "chunk", "chunk"),
			exactly("DELETE FROM tree_hashes WHERE chunk = (SELECT max(chunk) FROM tree_hashes)"),
			exactly("UPDATE tree_hashes SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE chunk = (SELECT max(chunk) FROM tree_hashes)"),
			exactly("UPDATE tree_hashes SET hashes = substr(hashes, 33) WHERE chunk = (SELECT max(chunk) FROM tree_hashes)"),
		),
		"tree head":  columns("tree_head", "id", "size"),
		"checkpoint": columns("checkpoints", "id", "size", "note"),
		"pruning": either(
			columns("pruned_segments", pruning, "segment", "pruning", "bitmap"),
			exactly("DELETE FROM pruned_segments WHERE "+pruning+" = (SELECT max("+pruning+") FROM pruned_segments)"),
			s.forge(false),
		),
		"forged pruning": s.forge(true),
		"truncate":       s.cut,
	}
}
