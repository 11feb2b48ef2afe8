package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

type sqlite struct {
	log   *log
	tree  []byte // hashes not yet stored; they begin where a chunk does
	chunk int64  // its number
}

func loadSQLite(ctx context.Context, path string, l *log) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	var held int64
	if err := db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM (SELECT 1 FROM events LIMIT 1)) + (SELECT size FROM tree_head)`).Scan(&held); err != nil {
		return fmt.Errorf("not a migrated database: %w", err)
	}
	if held != 0 {
		return errNotEmpty
	}
	s := &sqlite{log: l}
	for l.next < l.events {
		if err := s.batch(ctx, db); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

func (s *sqlite) batch(ctx context.Context, db *sql.DB) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	first := s.log.next
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for range min(batchEvents, s.log.events-first) {
		e, err := s.log.make()
		if err != nil {
			return err
		}
		v := verbs[e.verb]
		if _, err := insert.ExecContext(ctx, e.sequence, e.id, s.log.organizations[e.organization], e.agentID, v.action, v.outcome, e.timestamp, e.body); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, e); err != nil {
			return err
		}
	}
	if err := s.derive(ctx, tx, first); err != nil {
		return err
	}
	return tx.Commit()
}

// keep stores the event's hashes in chunks of 64.
func (s *sqlite) keep(ctx context.Context, tx *sql.Tx, e event) error {
	for i, hash := range e.hashes {
		s.tree = append(s.tree, hash[:]...)
		last := s.log.next == s.log.events && i == len(e.hashes)-1
		if len(s.tree) < 64*len(hash) && !last {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO tree_hashes (chunk, hashes) VALUES (?1, ?2)`, s.chunk, s.tree); err != nil {
			return err
		}
		s.chunk, s.tree = s.chunk+1, s.tree[:0]
	}
	return nil
}

// derive brings the head and the derived tables up to the events from first on.
func (s *sqlite) derive(ctx context.Context, tx *sql.Tx, first int64) error {
	for _, statement := range []string{
		`INSERT INTO event_segments (segment, lowest, highest)
		SELECT segment, min(timestamp), max(timestamp) FROM events WHERE sequence >= ?1 GROUP BY segment
		ON CONFLICT (segment) DO UPDATE SET lowest = min(lowest, excluded.lowest), highest = max(highest, excluded.highest)`,
		`INSERT INTO event_kinds (segment, organization_id, action, outcome)
		SELECT DISTINCT segment, organization_id, action, outcome FROM events WHERE sequence >= ?1
		ON CONFLICT DO NOTHING`,
	} {
		if _, err := tx.ExecContext(ctx, statement, first); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE tree_head SET size = ?1`, s.log.next)
	return err
}
