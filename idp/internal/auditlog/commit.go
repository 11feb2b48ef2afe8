package auditlog

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// commit writes one group and answers the callers in it, but those whose writes
// it returns, in order: these were not done and are to go first in the next group.
func (l *Log) commit(ctx context.Context, group []*write) (rest []*write) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	started := time.Now()
	t := newTurn(group)
	err := l.try(ctx, t)
	switch {
	case errors.Is(err, store.ErrStatement) && !errors.Is(err, store.ErrUnknown):
		// Nothing was done, and the store is well: the others go without what failed.
		l.fail(t.suspects(), err)
		return t.unsuspected()
	case err != nil && len(group) > 1 && !errors.Is(err, store.ErrUnavailable):
		// One write poisons the group: let each stand alone.
		for _, w := range group {
			l.commit(ctx, []*write{w})
		}
		return nil
	case err != nil:
		l.fail(group, err)
		return nil
	}
	failpoint.Hit(failpoint.AuditCommitted)
	for i, w := range t.group[:t.taken] {
		w.done <- t.outcomes[i]
	}
	l.metrics.commits.Update(time.Since(started).Seconds())
	l.metrics.events.Add(t.events)
	return t.group[t.taken:]
}

// fail answers writes that did not commit, or may have.
func (l *Log) fail(writes []*write, err error) {
	for _, w := range writes {
		l.metrics.failures.Inc()
		w.done <- outcome{err: failed(err)}
	}
	l.opts.Logger.Error("audit commit failed", "writes", len(writes), "error", err)
}

// refusal is what the caller of a change is told. A change refuses by an
// apierr or one of the domain's sentinels; anything else is the store's failure,
// and nothing was done.
func refusal(err error) error {
	var said *apierr.Error
	if errors.As(err, &said) || errors.Is(err, idp.ErrNotFound) || errors.Is(err, idp.ErrConflict) || errors.Is(err, errEncode) {
		return err
	}
	return unavailable(err)
}

// failed is what a caller is told of a group that did not commit, or may have.
func failed(err error) error {
	if errors.Is(err, store.ErrUnknown) {
		return unknown(err)
	}
	return unavailable(err)
}

// try runs the turn in one transaction. Everything it computes is made anew
// when the transaction reruns.
func (l *Log) try(ctx context.Context, t *turn) error {
	return l.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		t.reset()
		size, err := tx.Tree.Size(ctx)
		if err != nil {
			return fmt.Errorf("tree size: %w", err)
		}
		failpoint.Hit(failpoint.AuditBegun)
		leaves := &leaves{first: size}
		if err := t.admit(ctx, tx, leaves); err != nil {
			return err
		}
		if err := l.change(ctx, tx, t, leaves); err != nil {
			return err
		}
		failpoint.Hit(failpoint.AuditApplied)
		t.suspect(0, t.taken)
		if err := leaves.store(ctx, tx); err != nil {
			return err
		}
		t.events = int(leaves.first - size)
		failpoint.Hit(failpoint.AuditAppended)
		if size == 0 && t.events > 0 {
			// From the first event on there is always a checkpoint: a log without one was cut.
			_, _, err = l.sign(ctx, tx, int64(t.events))
		}
		return err
	})
}

// change applies changes and plain appends, one after the other, for as long as
// a turn may last: all replicas wait for it. One is always taken.
func (l *Log) change(ctx context.Context, tx *store.Tx, t *turn, leaves *leaves) error {
	began := time.Now()
	for i := t.admissions; i < len(t.group); i++ {
		if t.taken > 0 && time.Since(began) > turnLimit {
			return nil
		}
		w := t.group[i]
		t.taken = i + 1
		if err := w.ctx.Err(); err != nil {
			t.outcomes[i].err = unavailable(err)
			continue
		}
		t.suspect(i, i+1)
		err := l.apply(ctx, tx, w, leaves)
		if errors.Is(err, errPlanTold) {
			t.suspect(0, i)
			if err := leaves.store(ctx, tx); err != nil {
				return err
			}
			t.suspect(i, i+1)
			err = l.apply(ctx, tx, w, leaves)
		}
		if err != nil {
			if errors.Is(err, store.ErrUnavailable) {
				return err
			}
			t.outcomes[i].err = refusal(err)
		}
	}
	return nil
}

// errPlanTold says that a change tells an organization's plan and was undone: the
// store keeps events as the class of the plan of the moment, so those before it go in first.
var errPlanTold = errors.New("events wait before one that tells a plan")

// errPlanLate says that a change is wrong: its events before the one that tells a
// plan would be kept by a plan that the log has not told yet.
var errPlanLate = apierr.New(apierr.Internal, "internal error").WithReason("internal").
	WithCause(errors.New("a change has events before the one that tells a plan"))

// apply runs one change or plain append. A failing change leaves neither rows nor leaves.
func (l *Log) apply(ctx context.Context, tx *store.Tx, w *write, leaves *leaves) error {
	if w.change == nil {
		leaves.add(w.entries)
		return nil
	}
	mark := len(leaves.rows)
	err := tx.Savepoint(ctx, func(ctx context.Context) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = apierr.New(apierr.Internal, "internal error").WithReason("internal").
					WithCause(fmt.Errorf("panic in a change: %v\n%s", p, debug.Stack()))
			}
		}()
		entries, err := w.change(ctx, tx)
		if err != nil {
			return err
		}
		switch first := slices.IndexFunc(entries, tellsPlan); {
		case first > 0:
			return errPlanLate
		case first == 0 && mark > 0:
			return errPlanTold
		}
		leaves.add(entries)
		return nil
	})
	if err != nil {
		leaves.cut(mark)
	}
	return err
}
