package faults

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// evidence is a finished log that can be edited and made whole again.
type evidence interface {
	// edit runs what an insider with the whole database does: nothing refuses it.
	edit(t *testing.T, change func(tx *sql.Tx) error) error
	// older puts one of the log's earlier states in its place.
	older(t *testing.T, n int)
	// restore makes it whole.
	restore(t *testing.T)
	// rows are the events as they are stored, by sequence.
	rows(t *testing.T) map[int64]string
	firstOther(whole, edited map[int64]string) int64
	// store is opened to verify it.
	store(t *testing.T) (db store.DB, done func())
	// edits are those of this backend, by kind.
	edits() map[string]edit
}

// edit changes one thing at random. errNothing: there was nothing to change; it
// is asked again. Any other error is the database refusing a value.
type edit func(r *rand.Rand, tx *sql.Tx) error

// F20: an insider edits the store under the IdP. Verification finds every edit,
// with no help but the last checkpoint that was kept outside.
func TestF20Tampering(t *testing.T) {
	for _, backend := range []struct {
		name string
		make func(t *testing.T, write func(db store.DB, old func())) evidence
	}{{"sqlite", sqliteEvidence}, {"postgres", postgresEvidence}} {
		t.Run(backend.name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			r := rand.New(rand.NewPCG(seed, 20))
			t.Logf("seed %d", seed)
			a := newAuthor(t, r.IntN)
			var checkpoint []byte
			states := 0
			e := backend.make(t, func(db store.DB, old func()) {
				checkpoint = a.write(db, pick(400, 6000), func() { old(); states++ })
			})
			verify := func() auditlog.Report {
				db, done := e.store(t)
				defer done()
				report, err := auditlog.Verify(t.Context(), db, a.sealer, auditlog.VerifyOptions{Checkpoints: [][]byte{checkpoint}})
				require.NoError(t, err)
				return report
			}
			whole := verify()
			require.Nil(t, whole.Problem)
			require.Positive(t, whole.Pruned)

			kinds, events := e.edits(), e.rows(t)
			names := slices.Sorted(maps.Keys(kinds))
			names = append(names, "older copy")
			runs, detected, split := pick(250, 1000), 0, map[string][2]int{}
			for n := range runs {
				name := names[n%len(names)]
				if name == "older copy" {
					e.older(t, r.IntN(states))
				} else {
					change(t, r, e, kinds[name])
				}
				report, count := verify(), split[name]
				count[1]++
				if report.Problem != nil {
					if slices.Contains([]string{"body", "class", "column", "delete", "insert", "retime", "swap"}, name) {
						require.Equal(t, e.firstOther(events, e.rows(t)), report.Problem.Sequence, "seed %d, edit %d, %s: %s", seed, n, name, report.Problem.What)
					}
					detected++
					count[0]++
				} else {
					t.Errorf("seed %d, edit %d: %s was not found", seed, n, name)
				}
				split[name] = count
				e.restore(t)
				if n%50 == 0 {
					require.Nil(t, verify().Problem, "made whole after %s", name)
				}
			}
			var parts []string
			for _, name := range names {
				parts = append(parts, fmt.Sprintf("%s:%d/%d", strings.ReplaceAll(name, " ", "_"), split[name][0], split[name][1]))
			}
			report(t, "F20", figures{runs: runs, extra: fmt.Sprintf(
				"backend=%s seed=%d events=%d pruned=%d detected %d/%d %s", backend.name, seed, whole.Events, whole.Pruned, detected, runs, strings.Join(parts, " "))})
		})
	}
}

// change makes edits until the database takes one that changes something.
func change(t *testing.T, r *rand.Rand, e evidence, make edit) {
	t.Helper()
	for range 1000 {
		if e.edit(t, func(tx *sql.Tx) error { return make(r, tx) }) == nil {
			return
		}
	}
	t.Fatal("no edit was possible")
}

type nothing struct{}

func (nothing) Error() string { return "nothing to change" }

// touch runs a statement that must change a row.
func touch(tx *sql.Tx, query string, args ...any) error {
	result, err := tx.ExecContext(context.Background(), query, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return nothing{}
	}
	return nil
}

// flip changes a byte of a value, or a number; never to what it was.
func flip(r *rand.Rand, value any) any {
	switch v := value.(type) {
	case int64:
		return v ^ 1<<r.IntN(40)
	case string:
		if v == "" {
			return "x"
		}
		b := []byte(v)
		b[r.IntN(len(b))] ^= byte(1 + r.IntN(7)) // stays ASCII
		return string(b)
	case []byte:
		b := slices.Clone(v)
		if len(b) == 0 {
			return []byte{0}
		}
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	default:
		panic(fmt.Sprintf("a column of %T", value))
	}
}

// anyRow is one row of an ordered query, chosen at random.
func anyRow(r *rand.Rand, tx *sql.Tx, from string, columns int) (values []any, err error) {
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM (" + from + ") AS rows").Scan(&n); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nothing{}
	}
	values = make([]any, columns)
	into := make([]any, columns)
	for i := range into {
		into[i] = &values[i]
	}
	return values, tx.QueryRow(fmt.Sprintf("%s LIMIT 1 OFFSET %d", from, r.IntN(n))).Scan(into...)
}

// columns flips any of the columns of any row; key finds a row again.
func columns(table, key string, names ...string) edit {
	return func(r *rand.Rand, tx *sql.Tx) error {
		name := names[r.IntN(len(names))]
		row, err := anyRow(r, tx, fmt.Sprintf("SELECT %s, %s FROM %s ORDER BY 1", key, name, table), 2)
		if err != nil {
			return err
		}
		if row[1] == nil {
			return nothing{}
		}
		return touch(tx, fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s = $2", table, name, key), flip(r, row[1]), row[0])
	}
}

// either does one of several.
func either(all ...edit) edit {
	return func(r *rand.Rand, tx *sql.Tx) error { return all[r.IntN(len(all))](r, tx) }
}

// exactly runs statements, the first of which must change something.
func exactly(statements ...string) edit {
	return func(_ *rand.Rand, tx *sql.Tx) error {
		for i, statement := range statements {
			err := touch(tx, statement)
			if _, none := err.(nothing); err != nil && (i == 0 || !none) { //nolint:errorlint // our own
				return err
			}
		}
		return nil
	}
}
