package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

const (
	resolveLimit = 5500 * time.Millisecond // beyond idle_in_transaction_session_timeout, which ends what the server still waits for
	reachLimit   = 1500 * time.Millisecond // within that, for a server that cannot be asked at all
	resolvePause = 50 * time.Millisecond
)

// identity is how a transaction is found again after its connection was lost:
// by what it wrote. Its transaction id would not do, because a crash may keep an
// id from the disk, and then the server gives it out again.
type identity struct {
	number     int64  // of this writer's transactions; it is written to its row of writers
	first      bool   // no commit of this writer is known: there may be no row
	timeline   string // changes when a standby takes over
	durable    bool   // the server's settings make the commit durable
	replicated bool   // a commit waits for a standby
}

func (i *identity) scan(r row) error { return r.Scan(&i.timeline, &i.durable, &i.replicated) }

const announceChange = `UPDATE changes SET number = number + 1 WHERE id = 1 RETURNING pg_notify('agentidp_changed', '')`

const commit = `COMMIT`

// commit makes the transaction durable. It is not interrupted: the caller
// would not know what happened.
func (s *Store) commit(ctx context.Context, t *transaction) error {
	if t.announce {
		t.ahead = append(t.ahead, announceChange)
	}
	if err := failpoint.Error(failpoint.StoreCommit, ctx.Err()); err != nil {
		return err
	}
	sent, done := context.WithTimeout(context.WithoutCancel(ctx), s.within(statementLimit))
	defer done()
	err := failpoint.Error(failpoint.StoreCommitted, t.sendCommit(sent))
	if err != nil && (code(err) == "" || t.conn.Conn().IsClosed()) {
		t.lose(err)
		err = s.resolve(ctx, t, err)
	}
	if err != nil {
		return translate(err)
	}
	s.committed = true
	if t.frontier != nil {
		s.frontier = t.frontier
	}
	if t.announce {
		s.watchers.signal()
	}
	return nil
}

var errUndone = errors.New("the server rolled the transaction back")

// sendCommit takes one round trip with all that is still to go out.
func (t *transaction) sendCommit(ctx context.Context) error {
	statements := strings.Join(append(t.ahead, commit), "; ")
	t.ahead = nil
	results, err := t.conn.Conn().PgConn().Exec(ctx, statements).ReadAll()
	if err != nil {
		return err
	}
	if results[len(results)-1].CommandTag.String() != commit {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errUndone)
	}
	return nil
}

var (
	errOpen    = errors.New("the transaction is still open")
	errUnclear = errors.New("the server cannot tell any more")
)

// resolve finds out on another connection whether the transaction was
// committed after all. Without that the caller might write it twice.
func (s *Store) resolve(ctx context.Context, t *transaction, lost error) error {
	started := time.Now()
	limited, done := context.WithTimeout(context.WithoutCancel(ctx), s.within(resolveLimit))
	defer done()
	for {
		committed, err := s.outcome(limited, t.id)
		switch {
		case err == nil && committed:
			return nil
		case err == nil:
			return fmt.Errorf("%w: the commit was cut off and nothing was done: %w", store.ErrUnavailable, lost)
		case errors.Is(err, errUnclear), !errors.Is(err, errOpen) && time.Since(started) > s.within(reachLimit):
			return fmt.Errorf("%w: %w", store.ErrUnknown, errors.Join(lost, err))
		}
		pause := time.NewTimer(resolvePause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w", store.ErrUnknown, errors.Join(lost, ctx.Err()))
		case <-limited.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w", store.ErrUnknown, lost)
		}
	}
}

const outcomeLockTimeout = `SET LOCAL lock_timeout = '500ms'`

const commitOutcome = `
SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), coalesce((SELECT number FROM writers WHERE id = $1), 0)`

// outcome asks under the writers' lock, which the transaction held: whoever has
// it knows that the transaction has ended, and sees what it left. It asks on a
// connection made for it: the pool's may be as dead as the one that was lost.
func (s *Store) outcome(ctx context.Context, id identity) (committed bool, err error) {
	ctx, done := context.WithTimeout(ctx, s.within(reachLimit))
	defer done()
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx) //nolint:errcheck // read only
	batch := &pgx.Batch{}
	for _, statement := range []string{writeBegin, s.limits(), outcomeLockTimeout, writeLock} {
		batch.Queue(statement)
	}
	var timeline string
	var number int64
	batch.Queue(commitOutcome, s.writer).QueryRow(func(r pgx.Row) error { return r.Scan(&timeline, &number) })
	batch.Queue(rollback)
	switch err := conn.SendBatch(ctx, batch).Close(); {
	case code(err) == codeLockTimeout:
		return false, errOpen
	case err != nil:
		return false, err
	}
	return id.committed(timeline, number)
}

// committed decides by what the writer's row says now, 0 when there is none.
func (i *identity) committed(timeline string, number int64) (bool, error) {
	promoted := timeline != i.timeline
	switch {
	case number == i.number && i.replicated && !promoted:
		return false, fmt.Errorf("%w: the wait for a standby has ended, nobody says how", errUnclear)
	case number == i.number:
		return true, nil
	case promoted:
		return false, fmt.Errorf("%w: a standby took over that does not have it", errUnclear)
	case number > i.number, number == 0 && !i.first:
		return false, fmt.Errorf("%w: the writer's row was changed by another", errUnclear)
	default:
		return false, nil
	}
}

const writersPrune = `
DELETE FROM writers
WHERE ctid = ANY (ARRAY(SELECT ctid FROM writers WHERE at < (extract(epoch FROM now() - interval '1 hour') * 1000)::bigint LIMIT 1000))`

// forgetWriters removes the rows of processes that are gone: one that serves
// writes every minute.
func (t *transaction) forgetWriters(ctx context.Context) error {
	_, err := t.exec(ctx, writersPrune)
	return err
}
