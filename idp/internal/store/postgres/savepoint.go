package postgres

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// One name serves any depth: PostgreSQL resolves it to the innermost.
const savepointBegin = `SAVEPOINT part`

// savepoint takes no round trips of its own unless a statement has failed:
// SAVEPOINT goes out with the first statement inside, RELEASE with the next one after.
func (t *transaction) savepoint(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	t.ahead = append(t.ahead, savepointBegin)
	kept := false
	defer func() {
		if !kept { // fn panicked
			_ = t.undo(ctx) // t.lost remembers a failure
		}
	}()
	err := fn(ctx)
	kept = true
	if err == nil {
		err = t.broken // fn has swallowed it, but its writes are gone
	}
	if err != nil {
		return also(err, t.undo(ctx))
	}
	t.release()
	return nil
}

const savepointUndo = `ROLLBACK TO part`

// undo ends the savepoint without its writes. An aborted transaction takes
// nothing but the bare ROLLBACK TO, so that cannot wait for the next statement.
func (t *transaction) undo(ctx context.Context) error {
	switch {
	case t.lost:
		return t.broken // fn may have made another error of it
	case t.broken == nil:
		t.ahead = append(t.ahead, savepointUndo)
	default:
		if err := t.simple(ctx, savepointUndo); err != nil {
			t.lost = true
			t.broken = fmt.Errorf("%w: %s: %w", store.ErrUnavailable, savepointUndo, err)
			return t.broken
		}
		t.broken = nil
	}
	t.release()
	return nil
}

const savepointRelease = `RELEASE part`

func (t *transaction) release() { t.ahead = append(t.ahead, savepointRelease) }
