package seed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Hashes in a chunk; the schema says the same.
const sqliteChunk = 64

type sqlite struct{ db *sql.DB }

func openSQLite(ctx context.Context, path string) (backend, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	b := &sqlite{db}
	if _, _, err := b.tree(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("not a migrated store: %w", err), db.Close())
	}
	return b, nil
}

func (b *sqlite) close() error { return b.db.Close() }

// update is one transaction.
func (b *sqlite) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// insert executes a statement once for each row.
func insert(ctx context.Context, tx *sql.Tx, statement string, rows int, row func(i int) []any) (err error) {
	prepared, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prepared.Close()) }()
	for i := range rows {
		if _, err := prepared.ExecContext(ctx, row(i)...); err != nil {
			return err
		}
	}
	return nil
}

func (b *sqlite) organizations(ctx context.Context, batch []organization) error {
	return b.update(ctx, func(tx *sql.Tx) error {
		return insert(ctx, tx, `
			INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision)
			VALUES (?1, ?1, ?2, ?3, ?3, 0, 1) ON CONFLICT DO NOTHING`, len(batch), func(i int) []any {
			return []any{batch[i].id, batch[i].plan, batch[i].at}
		})
	})
}

func (b *sqlite) agents(ctx context.Context, batch []agent) error {
	return b.update(ctx, func(tx *sql.Tx) error {
		err := insert(ctx, tx, `
			INSERT INTO agents (id, organization_id, email, agent_type, version, capabilities, administrator, owner, environment,
				status, jwks_uri, created_at, updated_at, epoch, revision)
			VALUES (?1, ?2, ?3, ?6, '1.0.0', ?4, 0, ?7, ?8, ?9, '', ?5, ?5, 0, 1)`, len(batch), func(i int) []any {
			a := &batch[i]
			return []any{a.AgentID, a.organization, a.email, a.scope(), a.at, a.kind, a.owner, a.environment, a.status}
		})
		if err != nil {
			return err
		}
		for n := range batch[0].capabilities {
			err := insert(ctx, tx, `INSERT INTO agent_capabilities (agent_id, capability) VALUES (?1, ?2)`, len(batch), func(i int) []any {
				return []any{batch[i].AgentID, batch[i].capabilities[n]}
			})
			if err != nil {
				return err
			}
		}
		return insert(ctx, tx, `
			INSERT INTO credentials (id, client_id, agent_id, organization_id, status, method, secret_scheme, secret_encoded,
				previous_scheme, previous_encoded, version, epoch, created_at, secret_set_at)
			VALUES (?1, ?2, ?3, ?4, 'active', 'client_secret', 'hmac-sha256', ?5, '', '', 1, 0, ?6, ?6)`, len(batch), func(i int) []any {
			a := &batch[i]
			return []any{a.CredentialID, a.ClientID, a.AgentID, a.organization, a.encoded, a.at}
		})
	})
}

func (b *sqlite) revocations(ctx context.Context, batch []revocation) error {
	return b.update(ctx, func(tx *sql.Tx) error {
		var last int64
		err := tx.QueryRowContext(ctx, `UPDATE revocation_head SET last = last + ?1 WHERE id = 1 RETURNING last`, len(batch)).Scan(&last)
		if err != nil {
			return err
		}
		first := last - int64(len(batch)) + 1
		return insert(ctx, tx, `
			INSERT INTO revocations (seq, type, id, epoch, expires_at, reason, at)
			VALUES (?1, 'jti', ?2, 0, ?3, 'seeded', ?4)`, len(batch), func(i int) []any {
			return []any{first + int64(i), batch[i].id, batch[i].expires, batch[i].at}
		})
	})
}

func (b *sqlite) tree(ctx context.Context) (size int64, read tlog.HashReader, err error) {
	err = b.db.QueryRowContext(ctx, `SELECT size FROM tree_head WHERE id = 1`).Scan(&size)
	return size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			var chunk []byte
			if err := b.db.QueryRowContext(ctx, `SELECT hashes FROM tree_hashes WHERE chunk = ?1`, index/sqliteChunk).Scan(&chunk); err != nil {
				return nil, err
			}
			if copy(hashes[i][:], chunk[min(len(chunk), int(index%sqliteChunk)*tlog.HashSize):]) < tlog.HashSize {
				return nil, fmt.Errorf("hash %d is missing", index)
			}
		}
		return hashes, nil
	}), err
}

func (b *sqlite) quicken(context.Context) error { return nil }

func (b *sqlite) events(ctx context.Context, batch []event) error {
	first, last := batch[0].sequence, batch[len(batch)-1].sequence
	return b.update(ctx, func(tx *sql.Tx) error {
		err := insert(ctx, tx, `
			INSERT INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body, retention)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`, len(batch), func(i int) []any {
			e := &batch[i]
			return []any{e.sequence, e.id, e.organization.id, e.agentID, e.action, e.outcome, e.timestamp, e.body, e.organization.plan}
		})
		if err != nil {
			return err
		}
		if err := keep(ctx, tx, cut(batch, sqliteChunk)); err != nil {
			return err
		}
		if err := derive(ctx, tx, first); err != nil {
			return err
		}
		if err := target(ctx, tx, batch); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE tree_head SET size = ?1`, last+1)
		return err
	})
}

// keep fills up the chunk that is there and adds the others.
func keep(ctx context.Context, tx *sql.Tx, runs []run) error {
	if runs[0].place > 0 {
		var held []byte
		if err := tx.QueryRowContext(ctx, `SELECT hashes FROM tree_hashes WHERE chunk = ?1`, runs[0].chunk).Scan(&held); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE tree_hashes SET hashes = ?2 WHERE chunk = ?1`, runs[0].chunk, append(held, runs[0].hashes...)); err != nil {
			return err
		}
		runs = runs[1:]
	}
	return insert(ctx, tx, `INSERT INTO tree_hashes (chunk, hashes) VALUES (?1, ?2)`, len(runs), func(i int) []any {
		return []any{runs[i].chunk, runs[i].hashes}
	})
}

// derive brings the derived tables up to the events from first on.
func derive(ctx context.Context, tx *sql.Tx, first int64) error {
	for _, statement := range []string{
		`INSERT INTO event_segments (segment, lowest, highest)
		SELECT segment, min(timestamp), max(timestamp) FROM events WHERE sequence >= ?1 GROUP BY segment
		ON CONFLICT (segment) DO UPDATE SET lowest = min(lowest, excluded.lowest), highest = max(highest, excluded.highest)`,
		`INSERT INTO event_kinds (segment, organization_id, action, outcome)
		SELECT DISTINCT segment, organization_id, action, outcome FROM events WHERE sequence >= ?1
		ON CONFLICT DO NOTHING`,
	} {
		if _, err := tx.ExecContext(ctx, statement, first); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(statement[:40]), err)
		}
	}
	return nil
}

// target keeps what was done to whom by others. On PostgreSQL a trigger does.
func target(ctx context.Context, tx *sql.Tx, batch []event) error {
	var done []event
	for i := range batch {
		if e := &batch[i]; e.targetID != "" && e.targetID != e.agentID {
			done = append(done, *e)
		}
	}
	return insert(ctx, tx, `INSERT INTO event_targets (target_agent_id, sequence, organization_id, agent_id, action, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`, len(done), func(i int) []any {
		e := done[i]
		return []any{e.targetID, e.sequence, e.organization.id, e.agentID, e.action, e.outcome}
	})
}

// count has every minute, hour and day of the log.
func (b *sqlite) count(ctx context.Context) error {
	_, err := b.db.ExecContext(ctx, `
		INSERT OR REPLACE INTO event_counts (step, at, organization_id, action, outcome, count)
		SELECT s.column1, e.timestamp / 1000 / s.column1 * s.column1, iif(o.column1, '', e.organization_id), e.action, e.outcome, count(*)
		FROM events AS e CROSS JOIN (VALUES (60), (3600), (86400)) AS s CROSS JOIN (VALUES (0), (1)) AS o
		GROUP BY 1, 2, 3, 4, 5`)
	return err
}

func (b *sqlite) settle(ctx context.Context) error {
	_, err := b.db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}
