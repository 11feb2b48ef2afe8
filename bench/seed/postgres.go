package seed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// Hashes in a chunk; the schema says the same.
const postgresChunk = 32

type postgres struct {
	conn    *pgx.Conn
	kinds   map[meaning]kind
	months  map[string]bool // that have partitions
	rebuild []string        // indexes that settle makes again
}

// kind is what the columns of an event say instead of its meaning.
type kind struct {
	number int32
	verb   int16
}

type meaning struct{ organization, action, outcome string }

func openPostgres(ctx context.Context, url string) (backend, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	b := &postgres{conn: conn, kinds: map[meaning]kind{}, months: map[string]bool{}}
	_, err = conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'off', false), set_config('maintenance_work_mem', '512MB', false)`)
	if err == nil {
		_, _, err = b.tree(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("not a migrated database: %w", err), b.close())
	}
	return b, nil
}

func (b *postgres) close() error { return b.conn.Close(context.Background()) }

// copyRows copies rows into a table.
func copyRows[T any](ctx context.Context, tx pgx.Tx, table string, columns []string, rows []T, row func(r *T) []any) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return row(&rows[i]), nil }))
	if err != nil {
		return fmt.Errorf("copy into %s: %w", table, err)
	}
	return nil
}

func (b *postgres) organizations(ctx context.Context, batch []organization) error {
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		for _, o := range batch {
			_, err := tx.Exec(ctx, `
				INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision)
				VALUES ($1, $1, $2, $3, $3, 0, 1) ON CONFLICT DO NOTHING`, o.id, o.plan, o.at)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *postgres) agents(ctx context.Context, batch []agent) error {
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		err := copyRows(ctx, tx, "agents", []string{
			"id", "organization_id", "email", "agent_type", "version", "capabilities", "administrator", "owner", "environment",
			"status", "created_at", "updated_at", "epoch", "revision",
		}, batch, func(a *agent) []any {
			return []any{a.AgentID, a.organization, a.email, a.kind, "1.0.0", a.scope(), false, a.owner, a.environment, a.status, a.at, a.at, int64(0), int64(1)}
		})
		if err != nil {
			return err
		}
		for n := range batch[0].capabilities {
			err := copyRows(ctx, tx, "agent_capabilities", []string{"agent_id", "capability"}, batch, func(a *agent) []any {
				return []any{a.AgentID, a.capabilities[n]}
			})
			if err != nil {
				return err
			}
		}
		return copyRows(ctx, tx, "credentials", []string{
			"id", "client_id", "agent_id", "organization_id", "method", "status", "secret_scheme", "secret_encoded", "secret_set_at",
			"previous_scheme", "previous_encoded", "version", "epoch", "created_at",
		}, batch, func(a *agent) []any {
			return []any{a.CredentialID, a.ClientID, a.AgentID, a.organization, "client_secret", "active", "hmac-sha256", a.encoded, a.at, "", "", int64(1), int64(0), a.at}
		})
	})
}

func (b *postgres) revocations(ctx context.Context, batch []revocation) error {
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		var last int64
		if err := tx.QueryRow(ctx, `UPDATE revocation_head SET last = last + $1 WHERE id = 1 RETURNING last`, len(batch)).Scan(&last); err != nil {
			return err
		}
		seq := last - int64(len(batch))
		return copyRows(ctx, tx, "revocations", []string{"seq", "type", "id", "epoch", "expires_at", "reason", "at"}, batch, func(r *revocation) []any {
			seq++
			return []any{seq, "jti", r.id, int64(0), r.expires, "seeded", r.at}
		})
	})
}

func (b *postgres) tree(ctx context.Context) (size int64, read tlog.HashReader, err error) {
	err = b.conn.QueryRow(ctx, `SELECT size FROM tree_head WHERE id = 1`).Scan(&size)
	return size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			var place int64
			var run []byte
			err := b.conn.QueryRow(ctx, `
				SELECT place, hashes FROM tree_hashes WHERE chunk = $1 AND place <= $2 ORDER BY place DESC LIMIT 1`,
				index/postgresChunk, index%postgresChunk).Scan(&place, &run)
			if err != nil {
				return nil, err
			}
			if copy(hashes[i][:], run[min(len(run), int(index%postgresChunk-place)*tlog.HashSize):]) < tlog.HashSize {
				return nil, fmt.Errorf("hash %d is missing", index)
			}
		}
		return hashes, nil
	}), err
}

// quicken takes away the indexes of events that no constraint needs: made again
// at the end, at once, they are several times faster.
func (b *postgres) quicken(ctx context.Context) error {
	rows, err := b.conn.Query(ctx, `SELECT indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'events'`)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Definition string }])
	if err != nil {
		return err
	}
	for _, index := range found {
		if _, err := b.conn.Exec(ctx, `DROP INDEX `+pgx.Identifier{index.Name}.Sanitize()); err != nil {
			return err
		}
		b.rebuild = append(b.rebuild, index.Definition)
	}
	return nil
}

func (b *postgres) events(ctx context.Context, batch []event) error {
	for i := range batch {
		if err := b.number(ctx, &batch[i]); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		columns := []string{"sequence", "timestamp", "kind", "verb", "retention", "event_id", "agent_id", "body"}
		err := copyRows(ctx, tx, "events", columns, batch, func(e *event) []any {
			k := b.kinds[e.meaning()]
			return []any{e.sequence, e.timestamp, k.number, k.verb, e.organization.plan, e.id, e.agentID, e.body}
		})
		if err != nil {
			return err
		}
		err = copyRows(ctx, tx, "tree_hashes", []string{"chunk", "place", "hashes"}, cut(batch, postgresChunk), func(r *run) []any {
			return []any{r.chunk, int16(r.place), r.hashes}
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE tree_head SET size = $1`, batch[len(batch)-1].sequence+1)
		return err
	})
}

func (e *event) meaning() meaning { return meaning{e.organization.id, e.action, e.outcome} }

// number sees to the number of what the event means, and to its month's partitions.
func (b *postgres) number(ctx context.Context, e *event) error {
	if month := time.UnixMilli(e.timestamp).UTC().Format("2006-01"); !b.months[month] {
		if _, err := b.conn.Exec(ctx, `SELECT event_month($1)`, e.timestamp); err != nil {
			return err
		}
		b.months[month] = true
	}
	m := e.meaning()
	if _, known := b.kinds[m]; known {
		return nil
	}
	var k kind
	err := b.conn.QueryRow(ctx, `SELECT kind, verb FROM event_kind($1, $2, $3)`, m.organization, m.action, m.outcome).Scan(&k.number, &k.verb)
	b.kinds[m] = k
	return err
}

// count has every minute, hour and day of the log.
func (b *postgres) count(ctx context.Context) error {
	_, err := b.conn.Exec(ctx, `
		INSERT INTO event_counts (step, at, organization_id, verb, count)
		SELECT s.step, e.timestamp / 1000 / s.step * s.step, CASE WHEN o.every THEN '' ELSE k.organization_id END, e.verb, count(*)
		FROM events AS e JOIN event_kinds AS k ON k.kind = e.kind
		CROSS JOIN (VALUES (60), (3600), (86400)) AS s (step) CROSS JOIN (VALUES (false), (true)) AS o (every)
		GROUP BY 1, 2, 3, 4
		ON CONFLICT (step, at, organization_id, verb) DO UPDATE SET count = excluded.count`)
	return err
}

func (b *postgres) settle(ctx context.Context) error {
	for _, statement := range append(b.rebuild, `VACUUM ANALYZE`) {
		if _, err := b.conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	b.rebuild = nil
	return nil
}
