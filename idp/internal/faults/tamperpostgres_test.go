package faults

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// postgresLog is a database; copies of its audit tables lie in schemas beside them.
type postgresLog struct {
	db  *postgres.Store
	raw *sql.DB
	survey
	digests map[string]string // of the tables, whole
}

var auditTables = []string{"event_verbs", "event_kinds", "event_segments", "event_head", "event_targets", "events", "tree_head", "tree_hashes", "checkpoints", "pruned_segments"}

func postgresEvidence(t *testing.T, write func(db store.DB, old func())) evidence {
	t.Helper()
	address := pgtest.URL(t)
	db, err := postgres.Open(t.Context(), postgres.Options{URL: address, Migrate: true, Patience: 20})
	require.NoError(t, err)
	p := &postgresLog{db: db, raw: database(t, "pgx", address)}
	t.Cleanup(func() {
		require.NoError(t, p.raw.Close())
		require.NoError(t, db.Close())
	})
	states := 0
	write(db, func() { p.keep(t, fmt.Sprint("old", states)); states++ })
	p.keep(t, "whole")
	p.digests = p.digest(t)
	p.survey = take(t, p.raw)
	return p
}

func (p *postgresLog) run(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := p.raw.Exec(statement)
		require.NoError(t, err, statement)
	}
}

func (p *postgresLog) keep(t *testing.T, schema string) {
	t.Helper()
	p.run(t, "CREATE SCHEMA "+schema)
	for _, table := range auditTables {
		p.run(t, fmt.Sprintf("CREATE TABLE %s.%s AS TABLE public.%s", schema, table, table))
	}
}

// digest tells the tables' states apart.
func (p *postgresLog) digest(t *testing.T) map[string]string {
	t.Helper()
	var queries []string
	for _, table := range auditTables {
		queries = append(queries, fmt.Sprintf("SELECT '%s', coalesce(md5(string_agg(r::text, ' ' ORDER BY r::text)), '') FROM %s AS r", table, table))
	}
	digests := map[string]string{}
	each(t, p.raw, strings.Join(queries, " UNION ALL "), func(scan func(...any)) {
		var table, digest string
		scan(&table, &digest)
		digests[table] = digest
	})
	return digests
}

// put makes kept copies the tables.
func (p *postgresLog) put(t *testing.T, schema string, tables ...string) {
	t.Helper()
	require.NoError(t, p.edit(t, func(tx *sql.Tx) error {
		for _, table := range tables {
			if _, err := tx.Exec("DELETE FROM " + table); err != nil {
				return err
			}
			if _, err := tx.Exec(fmt.Sprintf("INSERT INTO %s OVERRIDING SYSTEM VALUE SELECT * FROM %s.%s", table, schema, table)); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (p *postgresLog) older(t *testing.T, n int) {
	t.Helper()
	schema := fmt.Sprint("old", n)
	p.run(t, fmt.Sprintf("SELECT event_month(timestamp) FROM %s.events", schema)) // their tables may be gone
	p.put(t, schema, auditTables...)
}

func (p *postgresLog) restore(t *testing.T) {
	t.Helper()
	var changed []string
	for table, digest := range p.digest(t) {
		if digest != p.digests[table] {
			changed = append(changed, table)
		}
	}
	p.put(t, "whole", changed...)
}

func (p *postgresLog) rows(t *testing.T) map[int64]string {
	t.Helper()
	return rows(t, p.raw, "kind || ' ' || verb")
}

func (p *postgresLog) store(*testing.T) (store.DB, func()) { return p.db, func() {} }

func (p *postgresLog) edit(t *testing.T, change func(tx *sql.Tx) error) error {
	t.Helper()
	tx, err := p.raw.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("SET LOCAL session_replication_role = replica")
	require.NoError(t, err)
	if err := change(tx); err != nil {
		require.NoError(t, tx.Rollback())
		return err
	}
	require.NoError(t, tx.Commit())
	return nil
}

const postgresRow = "INSERT INTO events (sequence, event_id, timestamp, kind, verb, retention, agent_id, body) SELECT "

func (p *postgresLog) edits() map[string]edit {
	const rest = ", timestamp, kind, verb, retention, agent_id, body FROM events WHERE sequence = $2::bigint"
	const pruning = "segment || encode(pruning, 'hex')"
	const place = "chunk * 32 + place"
	held := func(edit edit) edit { // dictionaries also know what is gone
		return func(r *rand.Rand, tx *sql.Tx) error {
			for _, statement := range []string{
				"CREATE TEMP VIEW held_kinds AS SELECT * FROM event_kinds AS k WHERE EXISTS (SELECT 1 FROM events AS e WHERE e.kind = k.kind)",
				"CREATE TEMP VIEW held_verbs AS SELECT * FROM event_verbs AS v WHERE EXISTS (SELECT 1 FROM events AS e WHERE e.verb = v.verb)",
			} {
				if _, err := tx.Exec(statement); err != nil {
					return err
				}
			}
			if err := edit(r, tx); err != nil {
				return err
			}
			_, err := tx.Exec("DROP VIEW held_kinds, held_verbs")
			return err
		}
	}
	return map[string]edit{
		"body":   columns("events", "sequence", "body"),
		"column": columns("events", "sequence", "sequence", "event_id", "agent_id", "timestamp", "kind", "verb"),
		"class":  other("retention", "free", "custom", "record"),
		"delete": p.remove,
		"insert": either(
			p.insert(postgresRow+"$1::bigint, event_id || '-'"+rest, p.holes),
			p.insert(postgresRow+"$1::bigint, event_id || '-'"+rest, []int64{p.next}),
			func(r *rand.Rand, tx *sql.Tx) error {
				return touch(tx, postgresRow+"sequence, event_id, timestamp, kind, verb, CASE retention WHEN 'free' THEN 'custom' ELSE 'free' END, agent_id, body FROM events WHERE sequence = $1", p.any(r))
			},
		),
		"swap": p.swap,
		"retime": either(later, func(r *rand.Rand, tx *sql.Tx) error {
			return touch(tx, `UPDATE events SET timestamp = timestamp - 60000, body = convert_to(regexp_replace(convert_from(body, 'UTF8'), ':[0-5][0-9]\.', ':00.'), 'UTF8') WHERE sequence = $1`, p.any(r))
		}),
		"index": either(
			held(columns("held_kinds", "kind", "organization_id", "verb")),
			held(columns("held_verbs", "verb", "action")),
			held(exactly("DELETE FROM event_kinds WHERE kind = (SELECT max(kind) FROM held_kinds)")),
			held(exactly("DELETE FROM event_verbs WHERE verb = (SELECT max(verb) FROM held_verbs)")),
			columns("event_head", "id", "next"),
			narrow("sequence >> 12"),
		),
		"tree hash": either(
			columns("tree_hashes", place, "hashes"),
			columns("tree_hashes", place, "chunk", "place"),
			func(r *rand.Rand, tx *sql.Tx) error {
				row, err := anyRow(r, tx, "SELECT "+place+" FROM tree_hashes ORDER BY 1", 1)
				if err != nil {
					return err
				}
				return touch(tx, "DELETE FROM tree_hashes WHERE "+place+" = $1", row[0])
			},
			exactly("INSERT INTO tree_hashes SELECT chunk, place + length(hashes) / 32, substr(hashes, 1, 32) FROM tree_hashes ORDER BY chunk DESC, place DESC LIMIT 1"),
		),
		"tree head":  columns("tree_head", "id", "size"),
		"checkpoint": columns("checkpoints", "id", "size", "note"),
		"pruning": either(
			columns("pruned_segments", pruning, "segment", "pruning", "bitmap"),
			exactly("DELETE FROM pruned_segments WHERE "+pruning+" = (SELECT max("+pruning+") FROM pruned_segments)"),
			p.forge(false),
		),
		"forged pruning": p.forge(true),
		"truncate":       p.cut,
	}
}
