package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var errClosed = fmt.Errorf("%w: closed", store.ErrUnavailable)

const sqliteError = sqlite3.SQLITE_ERROR

// code is SQLite's extended result code of err; 0 when the error is not SQLite's.
func code(err error) int {
	var failure *sqlite.Error
	if errors.As(err, &failure) {
		return failure.Code()
	}
	return 0
}

func primary(extended int) int { return extended & 0xff }

// translate turns what SQLite says into the store's sentinels. Foreign keys,
// checks and triggers are not among them: to break those is a fault.
func translate(err error) error {
	if err == nil {
		return nil
	}
	switch extended := code(err); extended {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", idp.ErrConflict, err)
	default:
		if unavailable(extended) || errors.Is(err, sql.ErrConnDone) {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return idp.ErrNotFound
	}
	return err
}

func unavailable(extended int) bool {
	switch primary(extended) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_INTERRUPT:
		return true
	default:
		return false
	}
}

// final reports whether nothing more may be written after the error: what the
// disk holds is unknown, and a second sync may claim what the first one lost.
// A full disk is not final, nor is no room for the shared index beside the log.
func final(extended int) bool {
	switch primary(extended) {
	case sqlite3.SQLITE_IOERR:
		return extended != sqlite3.SQLITE_IOERR_SHMSIZE && extended != sqlite3.SQLITE_IOERR_NOMEM
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	default:
		return false
	}
}

// health remembers how writing goes.
type health struct {
	suspect atomic.Bool   // the last write failed in a way that may heal
	failed  chan struct{} // closed by the first final error
	once    sync.Once
	cause   error // written before failed is closed, read after
}

func newHealth() *health { return &health{failed: make(chan struct{})} }

// refusal is why no write is accepted any more; nil while they are.
func (h *health) refusal() error {
	select {
	case <-h.failed:
		return fmt.Errorf("%w: writing stopped after: %w", store.ErrUnavailable, h.cause)
	default:
		return nil
	}
}

// note looks at the error of a write and returns it.
func (h *health) note(err error) error {
	if final(code(err)) {
		return h.fail(err)
	}
	if errors.Is(err, store.ErrUnavailable) {
		h.suspect.Store(true)
	}
	return err
}

// fail stops all writing for good and returns err as ErrUnavailable.
func (h *health) fail(err error) error {
	if !errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	h.once.Do(func() {
		h.cause = err
		close(h.failed)
	})
	return err
}

// usable reports why no statement may run in the transaction now.
func (t *transaction) usable(ctx context.Context) error {
	switch {
	case t.over:
		return errOver
	case t.broken != nil:
		return t.broken
	default:
		return ctx.Err()
	}
}

// judge translates a statement's error. One after which SQLite may have rolled
// the whole transaction back ends it for us too.
func (t *transaction) judge(err error) error {
	err = translate(err)
	if t.health != nil && errors.Is(err, store.ErrUnavailable) {
		return t.giveUp(err)
	}
	return err
}

func (t *transaction) giveUp(err error) error {
	if !errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if t.health != nil {
		err = t.health.note(err)
	}
	t.broken = err
	return err
}

// also returns err itself, or both when there is a second.
func also(err, second error) error {
	if second == nil {
		return err
	}
	return errors.Join(err, second)
}
