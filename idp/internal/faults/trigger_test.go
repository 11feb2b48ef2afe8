package faults

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// tables are those that requests write.
func tables(t *testing.T, s *site, db *sql.DB) (names []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if s.backend == "postgres" {
		query = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition`
	}
	each(t, db, query, func(scan func(...any)) {
		var name string
		scan(&name)
		if !slices.Contains([]string{"goose_db_version", "settings", "keys", "sidecars", "checkpoints", "assertions"}, name) {
			names = append(names, name)
		}
	})
	slices.Sort(names)
	return names
}

// obstruct makes every such statement on the table fail.
func obstruct(t *testing.T, s *site, db *sql.DB, table, operation string) (lift func()) {
	t.Helper()
	run := func(statement string) {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
	if s.backend == "sqlite" {
		run(fmt.Sprintf(`CREATE TRIGGER faults BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'obstructed'); END`, operation, table))
		return func() { run(`DROP TRIGGER faults`) }
	}
	run(`CREATE OR REPLACE FUNCTION faults() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'obstructed'; END $$`)
	run(fmt.Sprintf(`CREATE TRIGGER faults BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION faults()`, operation, table))
	return func() { run(fmt.Sprintf(`DROP TRIGGER faults ON %s`, table)) }
}

// attempted are the requests of which every statement fails once.
var attempted = []kind{create, issue, rotate, revoke}

// Every INSERT and UPDATE that a request makes fails in turn: no effect, no
// event, no token, and the same request works once the obstacle is gone.
func TestEveryStatementFails(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		tr := newTrial(t, plain, s)
		tr.process.start()
		db := s.open(t)
		defer db.Close()
		statuses := map[int]int{}
		var unexpected []string
		lasting := prepare(t, tr.client, revoke)
		for _, table := range tables(t, s, db) {
			for _, operation := range []string{"INSERT", "UPDATE"} {
				fresh := prepare(t, tr.client, issue) // its first token touches agent and credential
				d, token := tr.client.issue(lasting.holder)
				require.Equal(t, yes, d.told, "%+v", d)
				lasting.token = token
				targets := map[kind]*victim{create: {holder: holder{email: fmt.Sprintf("agent-%d@example.com", emails.Add(1))}}, issue: &fresh, rotate: &fresh, revoke: &lasting}
				var refused []kind
				lift := obstruct(t, s, db, table, operation)
				key := fmt.Sprintf("key-%d", requests.Add(1))
				for _, k := range attempted {
					d := ask(tr.client, k, targets[k], key+string(k))
					statuses[d.status]++
					if d.told != yes {
						refused = append(refused, k)
					}
					if d.told != yes && d.status != http.StatusServiceUnavailable {
						unexpected = append(unexpected, fmt.Sprintf("%s with %s on %s: %d %s", k, operation, table, d.status, d.reply))
					}
				}
				lift()
				for _, k := range refused {
					d := ask(tr.client, k, targets[k], map[kind]string{create: key + string(create)}[k])
					require.Equal(t, yes, d.told, "%s after %s on %s: %+v", k, operation, table, d)
				}
				tr.figures.runs++
			}
		}
		figures := tr.close()
		figures.extra = fmt.Sprintf("backend=%s statuses=%v", s.backend, statuses)
		report(t, "statements", figures)
		require.Empty(t, unexpected)
		require.GreaterOrEqual(t, statuses[http.StatusServiceUnavailable], 10)
	})
}
