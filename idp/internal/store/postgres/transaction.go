package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// errOver answers the use of a transaction after its function returned.
var errOver = errors.New("transaction is over")

const (
	beginLimit     = 1500 * time.Millisecond // from asking to begin until the transaction is open
	statementLimit = 1800 * time.Millisecond // for one statement; the server gives up sooner (writeLimits)
	attempts       = 4                       // of a transaction that the server asks to repeat
)

// transaction is one open transaction; the aggregates of its store.Tx share it.
//
// Statements of a writing transaction are not interrupted when the caller's
// context ends, only by limit: an interrupted statement costs the connection.
// The context is looked at before each.
type transaction struct {
	conn     *pgxpool.Conn
	writing  bool
	limit    time.Duration // for one statement
	ahead    []string      // statements without arguments that go out with the next one, in one round trip
	over     bool          // fn has returned
	broken   error         // the statement that aborted the transaction; only a savepoint mends it
	lost     bool          // the connection is of no use: not even a savepoint mends it
	cut      bool          // the connection ended, not by a limit or a context of ours
	announce bool          // a revocation or a key changed: watchers are to be told
	id       identity      // of a writing transaction
	head     *treeHead     // of a writing transaction, until it appends to the tree
	frontier []int64       // chunks that the next append will want, after this transaction's
}

// tx is the transaction as its users see it.
func (t *transaction) tx() *store.Tx {
	return &store.Tx{
		Organizations: organizations{t},
		Agents:        agents{t},
		Credentials:   credentials{t},
		Admissions:    admissions{t},
		Events:        events{t},
		Tree:          tree{t},
		Retention:     retention{t},
		Revocations:   revocations{t},
		Keys:          keys{t},
		Idempotency:   idempotency{t},
		Assertions:    assertions{t},
		Sidecars:      sidecars{t},
		Settings:      settings{t},
		Stats:         stats{t},
		StatusLists:   statusLists{t},
		Savepoint:     t.savepoint,
	}
}

// Update implements store.DB. Writers of all replicas take turns. fn must not
// call Update: it would wait for itself.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return s.update(ctx, func(ctx context.Context, t *transaction) error { return fn(ctx, t.tx()) })
}

func (s *Store) update(ctx context.Context, fn func(context.Context, *transaction) error) error {
	for attempt := 1; ; attempt++ {
		err := s.updateOnce(ctx, fn)
		if !repeatable(err) {
			return s.note(err)
		}
		if attempt == attempts {
			return s.note(fmt.Errorf("%w: gave up after %d attempts: %w", store.ErrUnavailable, attempts, err))
		}
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(attempt * 10 * int(time.Millisecond))))) //nolint:gosec // G404: jitter
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

func (s *Store) updateOnce(ctx context.Context, fn func(context.Context, *transaction) error) error {
	t, err := s.beginWrite(ctx)
	if err != nil {
		return err
	}
	defer s.endWrite(ctx, t) // also when fn panics
	err = fn(ctx, t)
	if err == nil && t.broken != nil {
		err = t.broken // fn has swallowed it, but its writes are gone
	}
	if err != nil {
		return err
	}
	return s.commit(ctx, t)
}

// The limits make sure that a replica which stops (a paused machine, a cut
// network) gives the writers' lock up. patientLimits are for more Patience than 1.
const (
	writeLimits   = `SELECT set_config('idle_in_transaction_session_timeout', '5s', true), set_config('lock_timeout', '1400ms', true), set_config('statement_timeout', '1600ms', true)`
	patientLimits = `SELECT set_config('idle_in_transaction_session_timeout', '60s', true), set_config('lock_timeout', '60s', true), set_config('statement_timeout', '60s', true)`
)

// within is a limit times Options.Patience.
func (s *Store) within(limit time.Duration) time.Duration { return limit * time.Duration(s.patience) }

func (s *Store) limits() string {
	if s.patience > 1 {
		return patientLimits
	}
	return writeLimits
}

// Writing transactions hold one advisory lock from their first moment to their
// end. So they are serial on all replicas, hence serializable at READ
// COMMITTED, none fails for another's sake, and a sequence is seen in the order
// it was given out.
const (
	writeBegin = `BEGIN ISOLATION LEVEL READ COMMITTED`
	writeLock  = `SELECT pg_advisory_xact_lock(4703115946216386881)`
)

// beginWrite waits for the turn, in this process and among all, and opens the
// transaction in one round trip. After success endWrite must follow.
func (s *Store) beginWrite(ctx context.Context) (*transaction, error) {
	limited, done := context.WithTimeout(ctx, s.within(beginLimit))
	defer done()
	if err := s.takeTurn(ctx, limited); err != nil {
		return nil, err
	}
	t, err := s.openWrite(ctx, limited)
	if err != nil {
		s.endWrite(ctx, t)
		return nil, err
	}
	return t, nil
}

func (s *Store) openWrite(ctx, limited context.Context) (*transaction, error) {
	conn, err := s.acquire(ctx, limited)
	if err != nil {
		return nil, err
	}
	t := &transaction{
		conn: conn, writing: true, limit: s.within(statementLimit),
		ahead: []string{writeBegin, s.limits(), writeLock},
	}
	if err := s.identify(limited, t); err != nil {
		if err = t.judge(ctx, err); ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err) // a standby, for instance
		}
		return t, err
	}
	if !t.id.durable {
		return t, fmt.Errorf("%w: %w", store.ErrUnavailable, errNotDurable)
	}
	return t, nil
}

// A statement after the lock: what it reads of the settings holds for this
// commit. The number that it writes proves the commit, see identity.
// With it comes what an append to the tree begins with: the head, locked as by
// treeLock, and the chunks that $3 names.
const writeIdentity = `
WITH head AS (
    SELECT size FROM tree_head WHERE id = 1 FOR UPDATE),
held AS MATERIALIZED (
    SELECT chunk * 32 + place AS first, hashes FROM tree_hashes WHERE chunk = ANY ($3::bigint[]))
UPDATE writers SET number = $2, at = (extract(epoch FROM now()) * 1000)::bigint WHERE id = $1
RETURNING substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
    current_setting('fsync') <> 'off' AND current_setting('synchronous_commit') <> 'off',
    current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') <> 'local',
    coalesce((SELECT size FROM head), -1),
    (SELECT array_agg(first ORDER BY first) FROM held), (SELECT array_agg(hashes ORDER BY first) FROM held)`

// The first time there is no row; an upsert would cost every time.
const writeFirstIdentity = `
INSERT INTO writers (id, number, at) VALUES ($1, $2, (extract(epoch FROM now()) * 1000)::bigint)
RETURNING substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
    current_setting('fsync') <> 'off' AND current_setting('synchronous_commit') <> 'off',
    current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') <> 'local'`

// identify takes the lock and the limits, and marks the transaction as this writer's.
func (s *Store) identify(limited context.Context, t *transaction) error {
	s.number++
	t.id = identity{number: s.number, first: !s.committed}
	marked, err := t.exchange(limited, writeIdentity, []any{s.writer, t.id.number, s.frontier}, func(r row) error {
		head := &treeHead{}
		var runs []run
		var firsts []int64
		var hashes [][]byte
		if err := r.Scan(&t.id.timeline, &t.id.durable, &t.id.replicated, &head.size, &firsts, &hashes); err != nil {
			return err
		}
		for i, first := range firsts {
			runs = append(runs, run{first, hashes[i]})
		}
		head.chunks = gather(s.frontier, runs)
		t.head = head
		return nil
	})
	if err == nil && marked == 0 {
		_, err = t.exchange(limited, writeFirstIdentity, []any{s.writer, t.id.number}, t.id.scan)
	}
	return err
}

// takeTurn lets one transaction of this process at a time wait for the lock, on one connection.
func (s *Store) takeTurn(ctx, limited context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.closing:
		return errClosed
	case <-limited.Done():
		return ended(ctx, fmt.Errorf("%w: other writers took %v", store.ErrUnavailable, beginLimit))
	}
}

func (s *Store) endWrite(ctx context.Context, t *transaction) {
	if t != nil {
		s.end(ctx, t)
	}
	<-s.turn
}

const rollback = `ROLLBACK`

// end rolls back what is open and gives the connection back.
func (s *Store) end(ctx context.Context, t *transaction) {
	t.over = true
	defer t.conn.Release()
	if t.conn.Conn().PgConn().TxStatus() != 'I' && !t.conn.Conn().IsClosed() {
		_ = t.simple(ctx, rollback) // a connection that cannot roll back is dropped, and then the server does
	}
	if t.cut {
		s.pool.Reset() // whatever cut this one has cut the others
	}
}

// View implements store.DB. The snapshot is taken by the first read in fn,
// which carries BEGIN with it: a view of one read takes two round trips.
func (s *Store) View(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return s.view(ctx, func(ctx context.Context, t *transaction) error { return fn(ctx, t.tx()) })
}

// Read implements store.DB: one round trip for each read in fn.
func (s *Store) Read(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return s.read(ctx, nil, func(ctx context.Context, t *transaction) error { return fn(ctx, t.tx()) })
}

const readBegin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`

func (s *Store) view(ctx context.Context, fn func(context.Context, *transaction) error) error {
	return s.read(ctx, []string{readBegin}, fn)
}

// read lends fn a connection, on which ahead comes first.
func (s *Store) read(ctx context.Context, ahead []string, fn func(context.Context, *transaction) error) error {
	limited, done := context.WithTimeout(ctx, s.within(beginLimit))
	defer done()
	if err := s.takePermit(ctx, limited); err != nil {
		return err
	}
	defer func() { <-s.permits }()
	conn, err := s.acquire(ctx, limited)
	if err != nil {
		return err
	}
	t := &transaction{conn: conn, limit: s.within(statementLimit), ahead: ahead}
	defer s.end(ctx, t)
	err = fn(ctx, t)
	if err == nil && t.broken != nil {
		err = t.broken
	}
	return err
}

func (s *Store) takePermit(ctx, limited context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	select {
	case s.permits <- struct{}{}:
		return nil
	case <-s.closing:
		return errClosed
	case <-limited.Done():
		return ended(ctx, fmt.Errorf("%w: all connections were in use for %v", store.ErrUnavailable, beginLimit))
	}
}

func (s *Store) acquire(ctx, limited context.Context) (*pgxpool.Conn, error) {
	conn, err := s.pool.Acquire(limited)
	if err != nil {
		return nil, ended(ctx, fmt.Errorf("%w: %w", store.ErrUnavailable, err))
	}
	return conn, nil
}
