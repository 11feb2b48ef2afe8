package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type retention struct{ *transaction }

// The tables of a class are named by their months.
const retentionOldest = `
SELECT (extract(epoch FROM month) * 1000)::bigint
FROM (
    SELECT CASE WHEN c.relname ~ '_[0-9]{4}_[0-9]{2}$' THEN to_date(right(c.relname, 7), 'YYYY_MM') END AS month
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('events_' || $1)) AS tables
WHERE (extract(epoch FROM month + interval '1 month') * 1000)::bigint <= $2
ORDER BY month
LIMIT 1`

const retentionSpan = `
SELECT coalesce(min(sequence), 0), coalesce(max(sequence), -1)
FROM events
WHERE retention = $1 AND timestamp >= $2 AND timestamp < $3`

func (t retention) Due(ctx context.Context, class store.Class, ended time.Time) (due store.DueMonth, err error) {
	events(t).inOrder()
	oldest, err := t.number(ctx, retentionOldest, string(class), ended.UnixMilli())
	if err != nil {
		return due, err
	}
	due.Start = time.UnixMilli(oldest).UTC()
	return get(ctx, t.transaction, retentionSpan, func(r row) (store.DueMonth, error) {
		err := r.Scan(&due.First, &due.Last)
		return due, err
	}, string(class), oldest, monthEnd(due.Start))
}

func monthEnd(start time.Time) int64 { return start.AddDate(0, 1, 0).UnixMilli() }

// sequencesLimit is for reading a large part of a month.
const sequencesLimit = time.Minute

const retentionSequences = `
SELECT sequence
FROM events
WHERE retention = $1 AND timestamp >= $2 AND timestamp < $3 AND sequence >= $4 AND sequence < $5`

func (t retention) Sequences(ctx context.Context, class store.Class, month time.Time, from, to int64) (found []int64, err error) {
	events(t).inAnyOrder()
	err = t.patient(sequencesLimit, func() error {
		found, err = list(ctx, t.transaction, retentionSequences, scanNumber, string(class), month.UnixMilli(), monthEnd(month), from, to)
		return err
	})
	return found, err
}

const retentionRecord = `
INSERT INTO pruned_segments (segment, pruning, bitmap)
SELECT segment, pruning, bitmap FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS pruned (segment, pruning, bitmap)`

func (t retention) Record(ctx context.Context, segments []store.PrunedSegment) error {
	numbers, prunings, bitmaps := make([]int64, len(segments)), make([][]byte, len(segments)), make([][]byte, len(segments))
	for i := range segments {
		s := &segments[i]
		numbers[i], prunings[i], bitmaps[i] = s.Segment, s.Pruning[:], s.Bitmap[:]
	}
	_, err := t.exec(ctx, retentionRecord, numbers, prunings, bitmaps)
	return err
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
WHERE segment >= $1 AND segment < $2
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
WHERE sequence >= $1 AND sequence <= $2
ORDER BY sequence`

func (t retention) Classes(ctx context.Context, from, to int64) (map[int64]store.Class, error) {
	events(t).inOrder()
	rows, err := list(ctx, t.transaction, retentionClasses, scanClass, from, to)
	classes := make(map[int64]store.Class, len(rows))
	for _, row := range rows {
		classes[row.sequence] = row.class
	}
	return classes, err
}

// dropLimit is for looking through a month: ten million events take seconds.
const dropLimit = 10 * time.Minute

const retentionDrop = `SELECT event_prune($1, $2)`

// Drop implements store.DB. It takes no turn with the writers: see event_prune.
func (s *Store) Drop(ctx context.Context, class store.Class, month time.Time) (done bool, err error) {
	limited, cancel := context.WithTimeout(ctx, s.within(beginLimit))
	defer cancel()
	if err := s.takePermit(ctx, limited); err != nil {
		return false, err
	}
	defer func() { <-s.permits }()
	conn, err := s.acquire(ctx, limited)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	patient, end := context.WithTimeout(ctx, dropLimit)
	defer end()
	err = conn.QueryRow(patient, retentionDrop, string(class), month.UnixMilli()).Scan(&done)
	if code(err) == codeLockTimeout {
		return false, nil // readers that do not end: the next turn finds it again
	}
	return done, ended(ctx, translate(err))
}
