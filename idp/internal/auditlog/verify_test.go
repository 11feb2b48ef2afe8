package auditlog_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite"
)

// tamper stops the log, edits its file as somebody with the database would, and opens it again for verification.
func (f *fixture) tamper(edit func(db *sql.DB)) {
	f.t.Helper()
	f.close()
	db, err := sql.Open("sqlite", f.path())
	require.NoError(f.t, err)
	rows, err := db.Query("SELECT name FROM sqlite_master WHERE type = 'trigger'")
	require.NoError(f.t, err)
	var triggers []string
	for rows.Next() {
		var name string
		require.NoError(f.t, rows.Scan(&name))
		triggers = append(triggers, name)
	}
	require.NoError(f.t, rows.Err())
	for _, name := range triggers {
		mustExec(f.t, db, "DROP TRIGGER "+name)
	}
	edit(db)
	require.NoError(f.t, db.Close())
	f.reopenForVerification()
}

func mustExec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.Exec(query, args...)
	require.NoError(t, err, query)
}

// hashesOf is the stored form of the tree over the bodies, one row a chunk of 64 hashes.
func replaceTree(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.Query("SELECT body FROM events ORDER BY sequence")
	require.NoError(t, err)
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	size := int64(0)
	for rows.Next() {
		var body []byte
		require.NoError(t, rows.Scan(&body))
		more, err := tlog.StoredHashes(size, body, reader)
		require.NoError(t, err)
		hashes = append(hashes, more...)
		size++
	}
	require.NoError(t, rows.Err())
	mustExec(t, db, "DELETE FROM tree_hashes")
	for chunk := 0; chunk*64 < len(hashes); chunk++ {
		var blob []byte
		for _, h := range hashes[chunk*64 : min(len(hashes), chunk*64+64)] {
			blob = append(blob, h[:]...)
		}
		mustExec(t, db, "INSERT INTO tree_hashes (chunk, hashes) VALUES (?, ?)", chunk, blob)
	}
	mustExec(t, db, "UPDATE tree_head SET size = ?", size)
}

func TestEveryTamperingIsFound(t *testing.T) {
	const forge = `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'agent-40', 'agent-99') AS BLOB), agent_id = 'agent-99' WHERE sequence = 40`
	for name, row := range map[string]struct {
		edit     func(t *testing.T, db *sql.DB)
		sequence int64
		what     string
	}{
		"one byte of an event": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '"version"', '"versioN"') AS BLOB) WHERE sequence = 40`)
		}, 40, "changed"},
		"a column that queries filter on": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE events SET agent_id = 'somebody-else' WHERE sequence = 12`)
		}, 12, "column agentId"},
		"the time of an event": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE events SET timestamp = timestamp + 1 WHERE sequence = 12`)
		}, 12, "column timestamp"},
		"a row removed": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `DELETE FROM events WHERE sequence = 33`)
		}, 33, "missing"},
		"two rows swapped": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE events SET sequence = 999 WHERE sequence = 5`)
			mustExec(t, db, `UPDATE events SET sequence = 5 WHERE sequence = 6`)
			mustExec(t, db, `UPDATE events SET sequence = 6 WHERE sequence = 999`)
		}, 5, "column sequence"},
		"the tail cut": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `DELETE FROM events WHERE sequence >= 60`)
		}, 60, "tail"},
		"the tail cut and the tree with it": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `DELETE FROM events WHERE sequence >= 60`)
			replaceTree(t, db)
		}, 60, "tail was cut"},
		"the tail cut, the tree and the checkpoints with it": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `DELETE FROM events WHERE sequence >= 60`)
			mustExec(t, db, `DELETE FROM checkpoints WHERE size > 60`)
			replaceTree(t, db)
		}, 60, "tail was cut"},
		"the whole tree recomputed": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, forge)
			replaceTree(t, db)
		}, -1, "recomputed"},
		"the whole tree recomputed, no checkpoint left": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, forge)
			mustExec(t, db, `DELETE FROM checkpoints`)
			replaceTree(t, db)
		}, -1, "recomputed"},
		"a checkpoint edited": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE checkpoints SET size = size + 1 WHERE id = (SELECT max(id) FROM checkpoints)`)
		}, -1, "no valid signature"},
		"the checkpoint key replaced": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE keys SET sealed = zeroblob(64) WHERE use = 'checkpoint'`)
		}, 0, "checkpoint key does not open"},
		"a hash of the tree": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE tree_hashes SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE chunk = 0`)
		}, 0, "do not match"},
		"an index that hides events of an action": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `DELETE FROM event_kinds WHERE action = 'agent.updated'`)
		}, 0, "hide it from queries"},
		"an index that hides events of a time": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE event_segments SET highest = lowest - 1`)
		}, 0, "hide it from queries"},
		"events added behind the log's back": {func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `INSERT INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body) SELECT 80, 'e80', organization_id, agent_id, action, outcome, timestamp, body FROM events WHERE sequence = 79`)
		}, 80, "column"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.append(80)
			f.close()
			kept, err := os.ReadFile(f.checkpointFile())
			require.NoError(t, err)
			f.tamper(func(db *sql.DB) { row.edit(t, db) })
			report := f.verify(kept)
			require.NotNil(t, report.Problem)
			require.Contains(t, report.Problem.What, row.what)
			if row.sequence >= 0 {
				require.Equal(t, row.sequence, report.Problem.Sequence, report.Problem.What)
			}
		})
	}
}

// A restart must not sign what was tampered with: nobody could tell afterwards.
func TestALogThatContradictsWhatWasSignedIsNeitherWrittenToNorSigned(t *testing.T) {
	for name, edit := range map[string]func(t *testing.T, db *sql.DB){
		"cut below the last checkpoint": func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `DELETE FROM events WHERE sequence >= 60`)
			replaceTree(t, db)
		},
		"rewritten, the stored checkpoints of it removed": func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'version', 'owner') AS BLOB) WHERE sequence = 60`)
			mustExec(t, db, `DELETE FROM checkpoints WHERE size > 20`)
			replaceTree(t, db)
		},
		"rewritten, no checkpoint left": func(t *testing.T, db *sql.DB) {
			mustExec(t, db, `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'version', 'owner') AS BLOB) WHERE sequence = 60`)
			mustExec(t, db, `DELETE FROM checkpoints`)
			replaceTree(t, db)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.append(80)
			f.close()
			kept, err := os.ReadFile(f.checkpointFile())
			require.NoError(t, err)
			f.tamper(func(db *sql.DB) { edit(t, db) })
			log, stop := f.run(f.db)
			require.Error(t, log.Append(t.Context(), event("x")))
			require.ErrorContains(t, stop(), "audit verify")
			after, err := os.ReadFile(f.checkpointFile())
			require.NoError(t, err)
			require.Equal(t, kept, after, "the copy outside still tells")
			require.NotNil(t, f.verify(after).Problem)
		})
	}
}

func TestATreeThatChangesUnderARunningLogIsNotSigned(t *testing.T) {
	f := newFixture(t)
	f.append(10)
	eventually(t, "a checkpoint of 10 events", func() bool {
		report := f.verify()
		return report.Signed == 10
	})
	other, err := sql.Open("sqlite", f.path()+"?_pragma=busy_timeout(10000)") // the log writes beside
	require.NoError(t, err)
	mustExec(t, other, `DROP TRIGGER tree_hashes_only_grow`)
	mustExec(t, other, `UPDATE tree_hashes SET hashes = zeroblob(length(hashes))`)
	require.NoError(t, other.Close())
	eventually(t, "the log ends", func() bool { return f.log.Ready(t.Context()) != nil })
	require.ErrorContains(t, f.stop(), "audit verify")
	f.stop = func() error { return nil }
}

func TestFromTheFirstEventOnThereIsACheckpoint(t *testing.T) {
	f := newFixture(t)
	f.append(1)
	report := f.verify()
	require.Nil(t, report.Problem)
	require.EqualValues(t, 1, report.Signed)
}
