package auditlog

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// commit writes one group and answers every caller in it.
func (l *Log) commit(ctx context.Context, group []*write) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	started := time.Now()
	outcomes, events, err := l.try(ctx, group)
	if err != nil && len(group) > 1 && !errors.Is(err, store.ErrUnavailable) {
		// One write poisons the group: let each stand alone.
		for _, w := range group {
			l.commit(ctx, []*write{w})
		}
		return
	}
	failpoint.Hit(failpoint.AuditCommitted)
	for i, w := range group {
		if err != nil {
			l.metrics.failures.Inc()
			w.done <- outcome{err: failed(err)}
			continue
		}
		w.done <- outcomes[i]
	}
	if err != nil {
		l.opts.Logger.Error("audit commit failed", "writes", len(group), "error", err)
		return
	}
	l.metrics.commits.Update(time.Since(started).Seconds())
	l.metrics.events.Add(events)
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

// try runs the group in one transaction. Everything it computes is made anew
// when the transaction reruns.
func (l *Log) try(ctx context.Context, group []*write) (outcomes []outcome, events int, err error) {
	err = l.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		outcomes = make([]outcome, len(group))
		size, err := tx.Tree.Size(ctx)
		if err != nil {
			return fmt.Errorf("tree size: %w", err)
		}
		failpoint.Hit(failpoint.AuditBegun)
		leaves := &leaves{first: size}
		if err := admit(ctx, tx, group, outcomes, leaves); err != nil {
			return err
		}
		for i, w := range group {
			if w.admission != nil {
				continue
			}
			if err := w.ctx.Err(); err != nil {
				outcomes[i].err = unavailable(err)
				continue
			}
			if err := l.apply(ctx, tx, w, leaves); err != nil {
				if errors.Is(err, store.ErrUnavailable) {
					return err
				}
				outcomes[i].err = refusal(err)
			}
		}
		failpoint.Hit(failpoint.AuditApplied)
		events = len(leaves.rows)
		if err := leaves.store(ctx, tx); err != nil {
			return err
		}
		failpoint.Hit(failpoint.AuditAppended)
		if size == 0 && events > 0 {
			// From the first event on there is always a checkpoint: a log without one was cut.
			_, _, err = l.sign(ctx, tx, int64(events))
		}
		return err
	})
	return outcomes, events, err
}

// admit decides on the group's admissions in one batch.
func admit(ctx context.Context, tx *store.Tx, group []*write, outcomes []outcome, leaves *leaves) error {
	var batch []store.Admission
	var at []int
	for i, w := range group {
		if w.admission == nil {
			continue
		}
		if err := w.ctx.Err(); err != nil {
			outcomes[i].err = unavailable(err)
			continue
		}
		batch, at = append(batch, *w.admission), append(at, i)
	}
	if len(batch) == 0 {
		return nil
	}
	verdicts, err := tx.Admissions.Admit(ctx, batch)
	if err != nil {
		return fmt.Errorf("admit: %w", err)
	}
	for n, i := range at {
		outcomes[i].verdict = verdicts[n]
		if verdicts[n] == store.Admitted {
			if err := leaves.add(group[i].events); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply runs one change or plain append. A failing change leaves neither rows nor leaves.
func (l *Log) apply(ctx context.Context, tx *store.Tx, w *write, leaves *leaves) error {
	if w.change == nil {
		return leaves.add(w.events)
	}
	mark := len(leaves.rows)
	err := tx.Savepoint(ctx, func(ctx context.Context) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = apierr.New(apierr.Internal, "internal error").WithReason("internal").
					WithCause(fmt.Errorf("panic in a change: %v\n%s", p, debug.Stack()))
			}
		}()
		events, err := w.change(ctx, tx)
		if err != nil {
			return err
		}
		if err := l.prepare(events); err != nil {
			return err
		}
		return leaves.add(events)
	})
	if err != nil {
		leaves.rows = leaves.rows[:mark]
	}
	return err
}

// leaves are the rows that one transaction appends, in order.
type leaves struct {
	first int64 // sequence of rows[0]
	rows  []store.EventRow
}

func (s *leaves) add(events []idp.Event) error {
	for i := range events {
		e := events[i] // a copy: a rerun gives another sequence
		e.Sequence = s.first + int64(len(s.rows))
		body, err := Encode(&e)
		if err != nil {
			return err
		}
		s.rows = append(s.rows, store.EventRow{
			Sequence: e.Sequence, ID: e.ID, OrganizationID: e.OrganizationID, AgentID: e.AgentID,
			Action: e.Action, Outcome: e.Outcome, Timestamp: e.Timestamp, Body: body,
		})
	}
	return nil
}

// store writes the rows and the tree hashes that they complete.
func (s *leaves) store(ctx context.Context, tx *store.Tx) error {
	if len(s.rows) == 0 {
		return nil
	}
	if err := tx.Events.Append(ctx, s.rows); err != nil {
		return fmt.Errorf("append events: %w", err)
	}
	failpoint.Hit(failpoint.AuditEvents)
	reader, err := newFrontier(ctx, tx.Tree, s.first)
	if err != nil {
		return err
	}
	for _, row := range s.rows {
		hashes, err := tlog.StoredHashesForRecordHash(row.Sequence, tlog.RecordHash(row.Body), reader)
		if err != nil {
			return fmt.Errorf("tree hashes: %w", err)
		}
		reader.fresh = append(reader.fresh, hashes...)
	}
	hashes := make([][32]byte, len(reader.fresh))
	for i, h := range reader.fresh {
		hashes[i] = h
	}
	if err := tx.Tree.Append(ctx, reader.first, hashes, s.first+int64(len(s.rows))); err != nil {
		return fmt.Errorf("append tree: %w", err)
	}
	return nil
}
