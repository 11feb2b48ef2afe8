package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// errOver answers the use of a transaction after its function returned.
var errOver = errors.New("transaction is over")

// transaction is one open transaction; the aggregates of its store.Tx share it.
//
// Statements of a writing transaction, and reads of single rows, are not
// interrupted when the context ends: SQLite would undo the whole transaction
// under a statement that it interrupts. The context is looked at before each.
type transaction struct {
	session  *session
	health   *health // of the store; nil in a read-only transaction
	over     bool    // fn has returned
	ended    bool    // committed or rolled back
	broken   error   // SQLite gave the transaction up: whatever runs now would commit by itself
	announce bool    // a revocation was appended or a key changed: watchers are told
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

// Update implements store.DB. Writers take turns; fn runs once. fn must not
// call Update: it would wait for itself.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return s.update(ctx, func(ctx context.Context, t *transaction) error { return fn(ctx, t.tx()) })
}

const beginWrite = `BEGIN IMMEDIATE`

func (s *Store) update(ctx context.Context, fn func(context.Context, *transaction) error) (err error) {
	if s.writer == nil {
		return store.ErrReadOnly
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.endTurn(ctx)
	if err := s.health.refusal(); err != nil {
		return err
	}
	t := &transaction{session: s.writer, health: s.health}
	if err := t.session.run(ctx, beginWrite); err != nil {
		return s.health.note(translate(err))
	}
	defer func() { // also when fn panics
		err = also(err, t.rollback(ctx))
	}()
	err = fn(ctx, t)
	if t.broken != nil {
		return t.broken
	}
	if err != nil {
		return err
	}
	if err := t.commit(ctx); err != nil {
		return err
	}
	if t.announce {
		s.watchers.signal()
	}
	return nil
}

func (s *Store) takeTurn(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endTurn gives the writer on, after a checkpoint when the log has grown long.
// The caller, whose commit is durable already, does not wait for that.
func (s *Store) endTurn(ctx context.Context) {
	if s.health.refusal() != nil || !s.wal.due(s.writer) {
		<-s.turn
		return
	}
	go func() {
		defer func() { <-s.turn }()
		if err := s.wal.checkpoint(ctx, s.writer); err != nil {
			_ = s.health.note(translate(err)) // remembered: Ping reports it
		}
	}()
}

const commit = `COMMIT`

// commit makes the transaction durable. After an error that ends all writing,
// such as a failed sync, the log on disk may hold the transaction or not; after
// any other SQLite has not written it.
func (t *transaction) commit(ctx context.Context) error {
	if err := failpoint.Error(failpoint.StoreCommit, ctx.Err()); err != nil {
		return err
	}
	err := failpoint.Error(failpoint.StoreCommitted, t.session.run(ctx, commit))
	if err == nil {
		t.ended = true
		t.health.suspect.Store(false)
		return nil
	}
	err = translate(err)
	if !errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: commit: %w", store.ErrUnavailable, err)
	}
	if err = t.health.note(err); t.health.refusal() != nil {
		err = fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return err
}

const rollback = `ROLLBACK`

// rollback ends the transaction unless it has ended. SQLite answers a plain
// error where it has rolled back by itself already.
func (t *transaction) rollback(ctx context.Context) error {
	t.over = true
	if t.ended {
		return nil
	}
	t.ended = true
	err := t.session.run(ctx, rollback)
	if err == nil || code(err) == sqliteError {
		return nil
	}
	err = errors.Join(errUnsound, translate(err))
	if t.health != nil {
		return t.health.fail(err)
	}
	return err
}

// View implements store.DB. The snapshot is taken by the first read in fn.
func (s *Store) View(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return s.view(ctx, func(ctx context.Context, t *transaction) error { return fn(ctx, t.tx()) })
}

const beginRead = `BEGIN DEFERRED`

func (s *Store) view(ctx context.Context, fn func(context.Context, *transaction) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.readers.with(ctx, func(ctx context.Context, r *session) (err error) {
		t := &transaction{session: r}
		if err := r.run(ctx, beginRead); err != nil {
			return errors.Join(errUnsound, translate(err))
		}
		defer func() { err = also(err, t.rollback(ctx)) }()
		return fn(ctx, t)
	})
}

// Read implements store.DB.
func (s *Store) Read(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.readers.with(ctx, func(ctx context.Context, r *session) error {
		t := &transaction{session: r, ended: true}
		defer func() { t.over = true }()
		return fn(ctx, t.tx())
	})
}

// One name serves any depth: SQLite resolves it to the innermost.
const savepointBegin = `SAVEPOINT part`

func (t *transaction) savepoint(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	if err := t.session.run(ctx, savepointBegin); err != nil {
		return t.judge(err)
	}
	kept := false
	defer func() {
		if !kept { // fn panicked
			_ = t.undo(ctx) // t.broken remembers a failure
		}
	}()
	err := fn(ctx)
	kept = true
	if err != nil {
		return also(err, t.undo(ctx))
	}
	return t.release(ctx)
}

const savepointUndo = `ROLLBACK TO part`

func (t *transaction) undo(ctx context.Context) error {
	if t.broken != nil {
		return t.broken
	}
	if err := t.session.run(ctx, savepointUndo); err != nil {
		return t.giveUp(translate(err))
	}
	return t.release(ctx)
}

const savepointRelease = `RELEASE part`

func (t *transaction) release(ctx context.Context) error {
	if t.broken != nil {
		return t.broken
	}
	if err := t.session.run(ctx, savepointRelease); err != nil {
		return t.giveUp(translate(err))
	}
	return nil
}
