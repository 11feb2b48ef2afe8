package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

type retention struct{ *transaction }

func monthEnd(start time.Time) int64 { return start.AddDate(0, 1, 0).UnixMilli() }

func monthStart(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func scanMoment(r row) (at time.Time, err error) {
	err = r.Scan(moment{&at})
	return at, err
}

const retentionOldest = `
SELECT timestamp
FROM events
WHERE retention = ?1
ORDER BY timestamp
LIMIT 1`

const retentionSpan = `
SELECT min(sequence), max(sequence)
FROM events
WHERE retention = ?1 AND timestamp >= ?2 AND timestamp < ?3`

func (t retention) Due(ctx context.Context, class store.Class, ended time.Time) (store.DueMonth, error) {
	oldest, err := get(ctx, t.transaction, retentionOldest, scanMoment, string(class))
	if err != nil {
		return store.DueMonth{}, err
	}
	month := monthStart(oldest)
	if monthEnd(month) > ended.UnixMilli() {
		return store.DueMonth{}, idp.ErrNotFound
	}
	return get(ctx, t.transaction, retentionSpan, func(r row) (store.DueMonth, error) {
		due := store.DueMonth{Start: month}
		err := r.Scan(&due.First, &due.Last)
		return due, err
	}, string(class), month.UnixMilli(), monthEnd(month))
}

const retentionSequences = `
SELECT sequence
FROM events
WHERE retention = ?1 AND timestamp >= ?2 AND timestamp < ?3 AND sequence >= ?4 AND sequence < ?5`

func (t retention) Sequences(ctx context.Context, class store.Class, month time.Time, from, to int64) ([]int64, error) {
	return list(ctx, t.transaction, retentionSequences, scanNumber, string(class), month.UnixMilli(), monthEnd(month), from, to)
}

const retentionRecord = `INSERT INTO pruned_segments (segment, pruning, bitmap) VALUES (?1, ?2, ?3)`

func (t retention) Record(ctx context.Context, segments []store.PrunedSegment) error {
	for i := range segments {
		s := &segments[i]
		if _, err := t.exec(ctx, retentionRecord, s.Segment, s.Pruning[:], s.Bitmap[:]); err != nil {
			return err
		}
	}
	return nil
}

func scanPruned(r row) (s store.PrunedSegment, err error) {
	var pruning, bitmap []byte
	if err := r.Scan(&s.Segment, &pruning, &bitmap); err != nil {
		return s, err
	}
	if copy(s.Pruning[:], pruning) != len(pruning) || copy(s.Bitmap[:], bitmap) != len(bitmap) {
		return s, fmt.Errorf("pruned segment %d holds %d and %d bytes", s.Segment, len(pruning), len(bitmap))
	}
	return s, nil
}

const retentionSegments = `
SELECT segment, pruning, bitmap
FROM pruned_segments
WHERE segment >= ?1 AND segment < ?2
ORDER BY segment, pruning`

func (t retention) Segments(ctx context.Context, from, to int64) ([]store.PrunedSegment, error) {
	return list(ctx, t.transaction, retentionSegments, scanPruned, from, to)
}

type classed struct {
	sequence int64
	class    store.Class
}

func scanClass(r row) (c classed, err error) {
	err = r.Scan(&c.sequence, &c.class)
	return c, err
}

const retentionClasses = `
SELECT sequence, retention
FROM events
WHERE sequence >= ?1 AND sequence <= ?2
ORDER BY sequence`

func (t retention) Classes(ctx context.Context, from, to int64) (map[int64]store.Class, error) {
	rows, err := list(ctx, t.transaction, retentionClasses, scanClass, from, to)
	classes := make(map[int64]store.Class, len(rows))
	for _, row := range rows {
		classes[row.sequence] = row.class
	}
	return classes, err
}

// A turn of the writer deletes at most so many events, or forgets so many segments.
const (
	dropRows     = 250
	dropSegments = 64
)

const retentionKept = `
SELECT EXISTS (SELECT 1 FROM events WHERE retention = ?1 AND timestamp >= ?2 AND timestamp < ?3)`

// Drop implements store.DB. It takes turns with other writers.
func (s *Store) Drop(ctx context.Context, class store.Class, month time.Time) (done bool, err error) {
	for _, step := range []func(context.Context, retention, store.Class, time.Time) (int64, error){dropEvents, forgetSegments} {
		for touched := int64(1); touched > 0; {
			err := s.update(ctx, func(ctx context.Context, t *transaction) (err error) {
				touched, err = step(ctx, retention{t}, class, month)
				return err
			})
			if err != nil {
				return false, err
			}
		}
	}
	err = s.view(ctx, func(ctx context.Context, t *transaction) error {
		kept, err := t.number(ctx, retentionKept, string(class), month.UnixMilli(), monthEnd(month))
		done = kept == 0
		return err
	})
	return done, err
}

// The bit is read as the trigger on events does.
const retentionDelete = `
DELETE FROM events
WHERE sequence IN (
    SELECT e.sequence
    FROM events AS e INDEXED BY events_by_retention
    WHERE e.retention = ?1 AND e.timestamp >= ?2 AND e.timestamp < ?3
        AND EXISTS (
            SELECT 1 FROM pruned_segments AS p
            WHERE p.segment = e.sequence >> 12
                AND (instr('0123456789ABCDEF', substr(hex(substr(p.bitmap, 1 + (e.sequence & 4095) / 8, 1)), 2 - ((e.sequence & 7) >> 2), 1)) - 1) >> (e.sequence & 3) & 1)
    LIMIT ?4)`

func dropEvents(ctx context.Context, t retention, class store.Class, month time.Time) (int64, error) {
	return t.exec(ctx, retentionDelete, string(class), month.UnixMilli(), monthEnd(month), dropRows)
}

// A segment without events is no place to look for them. The newest stays: it
// may get more.
const retentionForgetKinds = `
DELETE FROM event_kinds
WHERE segment IN (
    SELECT s.segment
    FROM event_segments AS s
    WHERE s.highest >= ?1 AND s.lowest < ?2 AND s.segment < (SELECT max(segment) FROM event_segments)
        AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.sequence >= s.segment << 12 AND e.sequence < s.segment + 1 << 12)
    ORDER BY s.segment
    LIMIT ?3)`

const retentionForgetSegments = `
DELETE FROM event_segments
WHERE segment IN (
    SELECT s.segment
    FROM event_segments AS s
    WHERE s.highest >= ?1 AND s.lowest < ?2 AND s.segment < (SELECT max(segment) FROM event_segments)
        AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.sequence >= s.segment << 12 AND e.sequence < s.segment + 1 << 12)
    ORDER BY s.segment
    LIMIT ?3)`

func forgetSegments(ctx context.Context, t retention, _ store.Class, month time.Time) (int64, error) {
	if _, err := t.exec(ctx, retentionForgetKinds, month.UnixMilli(), monthEnd(month), dropSegments); err != nil {
		return 0, err
	}
	return t.exec(ctx, retentionForgetSegments, month.UnixMilli(), monthEnd(month), dropSegments)
}
