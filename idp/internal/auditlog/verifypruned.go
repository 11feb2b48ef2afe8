package auditlog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// recorded is a pruning and the event that tells of it.
type recorded struct {
	pruning
	event *store.EventRow // nil: there is none
	found *tally          // of the segments stored for it
}

// takes reports whether the pruning may name the event.
func (r *recorded) takes(row *store.EventRow, class store.Class) bool {
	return r.event == nil || class == r.class && !row.Timestamp.Before(r.month) && row.Timestamp.Before(r.month.AddDate(0, 1, 0))
}

// prunings is what retention has written down, by segment. 10 million events
// are less than 2 MB of it.
type prunings map[int64][]taken

type taken struct {
	bitmap store.Bitmap
	by     *recorded
}

// of is the pruning that takes the sequence; nil: none does.
func (p prunings) of(sequence int64) *recorded {
	at, bit := place(sequence)
	for i := range p[sequence>>store.SegmentBits] {
		if t := &p[sequence>>store.SegmentBits][i]; t.bitmap[at]&bit != 0 {
			return t.by
		}
	}
	return nil
}

// loadPrunings reads every record of a pruning and holds what is stored of it
// against its digest. What does not fit is told once the events are read: one of
// them may be the cause.
func (v *verification) loadPrunings(ctx context.Context, verifier note.Verifier) error {
	rows, err := v.byAction(ctx, idp.ActionAuditPruned)
	if err != nil {
		return err
	}
	all := map[[sha256.Size]byte]*recorded{}
	for i := range slices.Backward(rows) { // oldest first
		r, what := readPruning(&rows[i], verifier)
		if what == "" && all[r.digest] != nil {
			what = "the same pruning is recorded twice"
		}
		if what != "" {
			v.doubt = &Problem{Sequence: rows[i].Sequence, EventID: rows[i].ID, What: what}
			continue
		}
		all[r.digest] = r
	}
	if err := v.loadSegments(ctx, all); err != nil || v.doubt != nil {
		return err
	}
	for _, r := range all {
		if what := r.differs(); what != nil && (v.doubt == nil || what.Sequence < v.doubt.Sequence) {
			v.doubt = what
		}
	}
	return nil
}

// differs says how what is stored is not what the event recorded; nil: it is.
func (r *recorded) differs() *Problem {
	f := r.found
	if r.event == nil {
		return &Problem{Sequence: max(f.first, 0), What: "events from here on are stored as pruned, but no event records it"}
	}
	if [sha256.Size]byte(f.digest.Sum(nil)) != r.digest || f.count != r.count || f.first != r.first || f.last != r.last {
		return &Problem{Sequence: r.event.Sequence, EventID: r.event.ID, What: "what is stored of a pruning is not what its event recorded"}
	}
	return nil
}

// readPruning says what is wrong with the event, if anything is.
func readPruning(row *store.EventRow, verifier note.Verifier) (*recorded, string) {
	p, err := parsePruning(row.Body, verifier)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("not made by this log: %v", err)
	case p.class != store.ClassFree && p.class != store.ClassCustom,
		p.count < 1, p.last >= row.Sequence, p.month.AddDate(0, 1, 0).Add(MinRetention * 24 * time.Hour).After(row.Timestamp):
		return nil, "the record of a pruning that retention would not make"
	}
	return &recorded{pruning: p, event: row, found: newTally()}, ""
}

// segmentBatch bounds how many segments of prunings are read at once.
const segmentBatch = 1024

func (v *verification) loadSegments(ctx context.Context, all map[[sha256.Size]byte]*recorded) error {
	size, err := v.tx.Tree.Size(ctx)
	if err != nil {
		return fmt.Errorf("tree size: %w", err)
	}
	v.pruned = prunings{}
	for from := int64(0); from < math.MaxInt64; {
		to := from + segmentBatch
		if from > size>>store.SegmentBits {
			to = math.MaxInt64 // there is nothing, or what should not be
		}
		segments, err := v.tx.Retention.Segments(ctx, from, to)
		if err != nil {
			return fmt.Errorf("prunings: %w", err)
		}
		for i := range segments {
			s := &segments[i]
			r := all[s.Pruning]
			if r == nil {
				r = &recorded{found: newTally()}
				all[s.Pruning] = r
			}
			r.found.add(s)
			v.pruned[s.Segment] = append(v.pruned[s.Segment], taken{s.Bitmap, r})
		}
		from = to
	}
	return nil
}

// byAction reads all events of the action.
func (v *verification) byAction(ctx context.Context, action idp.Action) (found []store.EventRow, err error) {
	filter := store.EventFilter{Action: action, Limit: 1000}
	for {
		rows, err := v.tx.Events.List(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("events %s: %w", action, err)
		}
		found = append(found, rows...)
		if len(rows) < filter.Limit || rows[len(rows)-1].Sequence == 0 {
			return found, nil
		}
		filter.Before = rows[len(rows)-1].Sequence
	}
}
