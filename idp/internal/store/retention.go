package store

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

// Class says how long an event is kept. It is fixed when the event is written.
type Class string

// The classes: the plan of the event's organization at that time, custom where
// there is no such organization; and what says how long events are kept, which
// itself is kept for ever.
const (
	ClassFree   Class = "free"
	ClassCustom Class = "custom"
	ClassRecord Class = "record" // of the actions audit.pruned, administrator.bootstrapped, organization.created and .updated
)

// IsRecord reports actions whose events are of ClassRecord.
func IsRecord(action idp.Action) bool {
	switch action {
	case idp.ActionAuditPruned, idp.ActionAdministratorBootstrap, idp.ActionOrganizationCreated, idp.ActionOrganizationUpdated:
		return true
	default:
		return false
	}
}

// SegmentBits is log2 of the sequences in a segment of the log.
const SegmentBits = 12

// Bitmap marks sequences of a segment: sequence s is bit s&7, from the lowest,
// of byte s>>3 within the segment.
type Bitmap [1 << SegmentBits >> 3]byte

// PrunedSegment says which sequences of a segment a pruning takes.
type PrunedSegment struct {
	Segment int64
	Pruning [32]byte // digest that names the pruning
	Bitmap  Bitmap
}

// DueMonth is a month of a class whose time has come.
type DueMonth struct {
	Start       time.Time // of the month (UTC)
	First, Last int64     // sequences of its events; Last below First: it has none
}

// Retention is what remembers prunings: rows of Events may go once they are
// recorded here. Prunings are append-only themselves.
type Retention interface {
	// Due returns the oldest month (UTC) that ended at or before the time and
	// still takes up room in the class; idp.ErrNotFound when there is none.
	Due(ctx context.Context, class Class, ended time.Time) (DueMonth, error)
	// Sequences returns those of the class's events of the month with
	// from <= sequence < to, in any order.
	Sequences(ctx context.Context, class Class, month time.Time, from, to int64) ([]int64, error)
	// Record appends segments of one pruning.
	Record(ctx context.Context, segments []PrunedSegment) error
	// Segments returns what is recorded with from <= Segment < to, by Segment, then Pruning.
	Segments(ctx context.Context, from, to int64) ([]PrunedSegment, error)
	// Classes returns the classes of the events with from <= sequence <= to, by sequence.
	Classes(ctx context.Context, from, to int64) (map[int64]Class, error)
}
