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

// write is a statement on a table.
type write struct{ table, operation string }

// written is what do writes, seen by triggers.
func written(t *testing.T, s *site, db *sql.DB, do func()) (seen []write) {
	t.Helper()
	run := func(statement string) {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
	watched := tables(t, s, db)
	run(`CREATE TABLE faults_written (name TEXT NOT NULL, operation TEXT NOT NULL)`)
	create := `CREATE TRIGGER faults_%[1]s_%[2]s BEFORE %[2]s ON %[1]s BEGIN INSERT INTO faults_written VALUES ('%[1]s', '%[2]s'); END`
	drop := `DROP TRIGGER faults_%[1]s_%[2]s`
	if s.backend == "postgres" {
		run(`CREATE FUNCTION faults_watch() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO faults_written VALUES (TG_ARGV[0], TG_OP); RETURN coalesce(NEW, OLD); END $$`)
		create = `CREATE TRIGGER faults_%[1]s_%[2]s BEFORE %[2]s ON %[1]s FOR EACH ROW EXECUTE FUNCTION faults_watch('%[1]s')`
		drop += ` ON %[1]s`
	}
	each := func(statement string) {
		for _, table := range watched {
			for _, operation := range []string{"INSERT", "UPDATE", "DELETE"} {
				run(fmt.Sprintf(statement, table, operation))
			}
		}
	}
	each(create)
	do()
	each(drop)
	rows, err := db.Query(`SELECT DISTINCT name, operation FROM faults_written ORDER BY name, operation`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var w write
		require.NoError(t, rows.Scan(&w.table, &w.operation))
		seen = append(seen, w)
	}
	require.NoError(t, rows.Err())
	return seen
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

// Every INSERT, UPDATE and DELETE that a request makes fails in turn: no effect,
// no event, no token, and the same request works once the obstacle is gone.
func TestEveryStatementFails(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		tr := newTrial(t, plain, s)
		tr.process.Start()
		db := s.open(t)
		defer db.Close()
		lasting := prepare(t, tr.client, revoke)
		targets := func() map[kind]*victim {
			fresh := prepare(t, tr.client, issue) // its first token touches agent and credential
			insist(t, func() (d deed) { d, lasting.token = tr.client.issue(lasting.holder); return d })
			made := prepare(t, tr.client, create)
			return map[kind]*victim{create: &made, issue: &fresh, rotate: &fresh, revoke: &lasting}
		}
		first := targets()
		writes := written(t, s, db, func() {
			for _, k := range attempted {
				key := fmt.Sprintf("key-%d", requests.Add(1))
				insist(t, func() deed { return ask(tr.client, k, first[k], key) })
			}
		})
		require.Contains(t, writes, write{"events", "INSERT"})
		statuses := map[int]int{}
		var unexpected []string
		try := func(w write, victims map[kind]*victim, key string, kinds ...kind) (refused []kind) {
			defer obstruct(t, s, db, w.table, w.operation)()
			for _, k := range kinds {
				d := ask(tr.client, k, victims[k], key+string(k))
				statuses[d.status]++
				if d.told != yes {
					refused = append(refused, k)
				}
				if d.told != yes && d.status != http.StatusServiceUnavailable {
					unexpected = append(unexpected, fmt.Sprintf("%s with %s on %s: %d %s", k, w.operation, w.table, d.status, d.reply))
				}
			}
			return refused
		}
		unseen := []kind{suspend, withdraw, remove}
		for _, w := range writes {
			victims, key := targets(), fmt.Sprintf("key-%d", requests.Add(1))
			refused := try(w, victims, key, attempted...)
			if refused == nil && len(unseen) > 0 { // it comes with the first event of its kind only
				k := unseen[0]
				unseen = unseen[1:]
				v := prepare(t, tr.client, k)
				victims[k] = &v
				refused = try(w, victims, key, k)
			}
			if refused == nil {
				unexpected = append(unexpected, fmt.Sprintf("%s on %s failed, and no request", w.operation, w.table))
			}
			for _, k := range refused {
				insist(t, func() deed { return ask(tr.client, k, victims[k], map[kind]string{create: key + string(create)}[k]) })
			}
			tr.figures.runs++
		}
		figures := tr.close()
		figures.extra = fmt.Sprintf("backend=%s statuses=%v", s.backend, statuses)
		report(t, "statements", figures)
		require.Empty(t, unexpected)
		require.GreaterOrEqual(t, statuses[http.StatusServiceUnavailable], 10)
	})
}
