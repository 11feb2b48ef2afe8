package auditlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Retention says how many days events are kept; 0: for ever.
type Retention struct {
	Free   int // of organizations on plan free when the event was written
	Custom int // of the others
}

// MinRetention is the least number of days that events can be kept: neither
// store nor verification accepts the pruning of a younger month.
const MinRetention = 31

// pruneSegments bounds what one pruning takes, and so how long it holds the writer up.
const pruneSegments = 128

// errTaken says that another replica has recorded the pruning.
var errTaken = fmt.Errorf("%w: pruned by another replica", idp.ErrConflict)

// Prune takes months whose last event is older than keep says: it writes down,
// in an event, which sequences go, and then lets the store drop them. Hashes
// stay, so proofs of what is left hold. It returns how many events it wrote down.
// Any number of replicas may do so at once, and a later call carries on what an
// earlier one did not finish.
func (l *Log) Prune(ctx context.Context, keep Retention) (events int64, err error) {
	for _, c := range []struct {
		class store.Class
		days  int
	}{{store.ClassFree, keep.Free}, {store.ClassCustom, keep.Custom}} {
		if c.days == 0 {
			continue
		}
		if c.days < MinRetention {
			return events, fmt.Errorf("retention of %d days is less than %d", c.days, MinRetention)
		}
		taken, err := l.pruneClass(ctx, c.class, l.opts.Now().AddDate(0, 0, -c.days))
		events += taken
		if err != nil {
			return events, fmt.Errorf("prune class %s: %w", c.class, err)
		}
	}
	return events, nil
}

// pruneClass takes the class's months that ended by then, oldest first, until
// one does not go: the next turn goes on there.
func (l *Log) pruneClass(ctx context.Context, class store.Class, ended time.Time) (events int64, err error) {
	for {
		var due store.DueMonth
		err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			due, err = tx.Retention.Due(ctx, class, ended)
			return err
		})
		if errors.Is(err, idp.ErrNotFound) {
			return events, nil
		}
		if err != nil {
			return events, fmt.Errorf("due month: %w", err)
		}
		taken, err := l.pruneMonth(ctx, class, due)
		events += taken
		if errors.Is(err, errTaken) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		done, err := l.db.Drop(ctx, class, due.Start)
		if err != nil {
			return events, fmt.Errorf("drop %s: %w", due.Start.Format(monthLayout), err)
		}
		if !done {
			return events, nil
		}
		l.opts.Logger.InfoContext(ctx, "audit events pruned", "class", string(class), "month", due.Start.Format(monthLayout), "events", taken)
	}
}

// pruneMonth writes down what goes.
func (l *Log) pruneMonth(ctx context.Context, class store.Class, due store.DueMonth) (events int64, err error) {
	for first := due.First >> store.SegmentBits; first <= due.Last>>store.SegmentBits; first += pruneSegments {
		segments, err := l.unrecorded(ctx, class, due.Start, first)
		if err != nil {
			return events, err
		}
		if len(segments) == 0 {
			continue
		}
		p := newPruning(class, due.Start, segments)
		if err := l.record(ctx, p, segments); err != nil {
			return events, fmt.Errorf("record pruning: %w", err)
		}
		events += p.count
		l.metrics.pruned.Add(int(p.count))
	}
	return events, nil
}

// unrecorded are the month's events from segment first on, up to the bound of a
// pruning, that no pruning has yet.
func (l *Log) unrecorded(ctx context.Context, class store.Class, month time.Time, first int64) (segments []store.PrunedSegment, err error) {
	err = l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		sequences, err := tx.Retention.Sequences(ctx, class, month, first<<store.SegmentBits, (first+pruneSegments)<<store.SegmentBits)
		if err != nil {
			return fmt.Errorf("events to prune: %w", err)
		}
		recorded, err := tx.Retention.Segments(ctx, first, first+pruneSegments)
		if err != nil {
			return fmt.Errorf("prunings: %w", err)
		}
		segments = mark(sequences, recorded)
		return nil
	})
	return segments, err
}

// record commits the pruning. Who finds any of it recorded by now was overtaken.
func (l *Log) record(ctx context.Context, p pruning, segments []store.PrunedSegment) error {
	signed, err := l.key.signPruning(&p)
	if err != nil {
		return err
	}
	return l.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		recorded, err := tx.Retention.Segments(ctx, segments[0].Segment, segments[len(segments)-1].Segment+1)
		if err != nil {
			return nil, err
		}
		if overlap(segments, recorded) {
			return nil, errTaken
		}
		if err := tx.Retention.Record(ctx, segments); err != nil {
			return nil, err
		}
		return []idp.Event{{
			OrganizationID: idp.OperatorOrganization, Action: idp.ActionAuditPruned, Outcome: idp.Success, Metadata: p.metadata(signed),
		}}, nil
	})
}
