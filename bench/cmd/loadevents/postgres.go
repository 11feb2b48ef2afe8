package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// batchEvents are copied in one transaction.
const batchEvents = 50_000

var errNotEmpty = errors.New("the log is not empty")

type postgres struct {
	conn  *pgx.Conn
	log   *log
	kinds map[[2]int]kind // by organization and verb
	made  map[string]bool // months that have partitions
	tree  []byte          // hashes not yet copied; they begin where a chunk does
	chunk int64           // its number
}

type kind struct {
	number int32
	verb   int16
}

func loadPostgres(ctx context.Context, url string, l *log) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p := &postgres{conn: conn, log: l, kinds: map[[2]int]kind{}, made: map[string]bool{}}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	rebuild, err := p.dropIndexes(ctx)
	if err != nil {
		return err
	}
	for l.next < l.events {
		if err := p.batch(ctx); err != nil {
			return err
		}
	}
	for _, statement := range append(rebuild, `VACUUM ANALYZE`) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// dropIndexes takes away the indexes that no constraint needs and returns what
// makes them again: at the end, at once, that is several times faster.
func (p *postgres) dropIndexes(ctx context.Context) ([]string, error) {
	rows, err := p.conn.Query(ctx, `SELECT indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'events'`)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Definition string }])
	if err != nil {
		return nil, err
	}
	var rebuild []string
	for _, index := range found {
		if _, err := p.conn.Exec(ctx, `DROP INDEX `+pgx.Identifier{index.Name}.Sanitize()); err != nil {
			return nil, err
		}
		rebuild = append(rebuild, index.Definition)
	}
	return rebuild, nil
}

func (p *postgres) prepare(ctx context.Context) error {
	var held int64
	if err := p.conn.QueryRow(ctx, `SELECT next FROM event_head`).Scan(&held); err != nil {
		return fmt.Errorf("not a migrated database: %w", err)
	}
	if held != 0 {
		return errNotEmpty
	}
	if _, err := p.conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'off', false), set_config('maintenance_work_mem', '512MB', false)`); err != nil {
		return err
	}
	for i, id := range p.log.organizations {
		_, err := p.conn.Exec(ctx, `
			INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision)
			VALUES ($1, $1, $2, $3, $3, 1, 1) ON CONFLICT (id) DO UPDATE SET plan = excluded.plan`, id, plan(i), p.log.first.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) batch(ctx context.Context) error {
	var rows, hashes [][]any
	for range min(batchEvents, p.log.events-p.log.next) {
		e, err := p.log.make()
		if err != nil {
			return err
		}
		k, err := p.kind(ctx, e)
		if err != nil {
			return err
		}
		rows = append(rows, []any{e.sequence, e.timestamp, k.number, k.verb, plan(e.organization), e.id, e.agentID, e.body})
		for _, hash := range e.hashes {
			if p.tree = append(p.tree, hash[:]...); len(p.tree) == 32*len(hash) {
				hashes = append(hashes, []any{p.chunk, int16(0), p.tree})
				p.chunk, p.tree = p.chunk+1, nil
			}
		}
	}
	if p.log.next == p.log.events && len(p.tree) > 0 {
		hashes = append(hashes, []any{p.chunk, int16(0), p.tree})
	}
	return pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
		columns := []string{"sequence", "timestamp", "kind", "verb", "retention", "event_id", "agent_id", "body"}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"events"}, columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"tree_hashes"}, []string{"chunk", "place", "hashes"}, pgx.CopyFromRows(hashes)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE tree_head SET size = $1`, p.log.next)
		return err
	})
}

// kind numbers what the event means, and sees to its month's partitions.
func (p *postgres) kind(ctx context.Context, e event) (kind, error) {
	if month := time.UnixMilli(e.timestamp).UTC().Format("2006-01"); !p.made[month] {
		if _, err := p.conn.Exec(ctx, `SELECT event_month($1)`, e.timestamp); err != nil {
			return kind{}, err
		}
		p.made[month] = true
	}
	key := [2]int{e.organization, e.verb}
	if k, known := p.kinds[key]; known {
		return k, nil
	}
	var k kind
	err := p.conn.QueryRow(ctx, `SELECT kind, verb FROM event_kind($1, $2, $3)`,
		p.log.organizations[e.organization], verbs[e.verb].action, verbs[e.verb].outcome).Scan(&k.number, &k.verb)
	p.kinds[key] = k
	return k, err
}
