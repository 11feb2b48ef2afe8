package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type events struct{ *transaction }

// noPartition is the SQLSTATE, check_violation, of a row that no partition takes.
const noPartition = "23514"

func scanEvent(r row) (e store.EventRow, err error) {
	err = r.Scan(&e.Sequence, &e.ID, &e.OrganizationID, &e.AgentID, &e.Action, &e.Outcome, moment{&e.Timestamp}, &e.Body)
	return e, err
}

// Append answers idp.ErrConflict for rows that do not continue the log: someone
// else has appended, or the id is taken. An id is held against the partition of
// its event only: the log makes ids that are unique by themselves, and to look
// in every partition would cost more than the insert.
func (t events) Append(ctx context.Context, rows []store.EventRow) error {
	if err := t.writable(); err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	batch := columnsOf(rows)
	err := t.insert(ctx, &batch)
	if errors.Is(err, errUnnumbered) {
		if err := t.enumerate(ctx, &batch.meanings); err != nil {
			return err
		}
		err = t.insert(ctx, &batch)
	}
	// There is no partition for a month that this clock has not shown before.
	if code(err) == noPartition {
		if err := t.makeMonths(ctx, rows); err != nil {
			return err
		}
		err = t.insert(ctx, &batch)
	}
	return err
}

// All rows go in under the kinds that the store holds of their meanings, or none
// does. The counts of stats.go go with them. The retention class is the
// organization's plan now; events of an organization that is not known are kept
// longest. What says how long events are kept is of a class of its own.
const eventInsert = `
WITH named AS MATERIALIZED (
    SELECT m.place::integer AS place, k.kind, k.verb, o.plan
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS m (organization_id, action, outcome, place)
    JOIN event_verbs AS v ON v.action = m.action AND v.outcome = m.outcome
    JOIN event_kinds AS k ON k.organization_id = m.organization_id AND k.verb = v.verb
    LEFT JOIN organizations AS o ON o.id = m.organization_id),
complete AS MATERIALIZED (SELECT count(*) = cardinality($1) AS is FROM named),
counted AS (
    INSERT INTO event_counts AS c (step, at, organization_id, verb, count)
    SELECT t.step, t.at, t.organization_id, n.verb, t.count
    FROM unnest($4::integer[], $5::bigint[], $6::text[], $7::integer[], $8::bigint[]) AS t (step, at, organization_id, place, count)
    JOIN named AS n USING (place)
    WHERE (SELECT complete.is FROM complete)
    ON CONFLICT (step, at, organization_id, verb) DO UPDATE SET count = c.count + excluded.count)
INSERT INTO events (sequence, timestamp, kind, verb, retention, event_id, agent_id, body)
SELECT b.sequence, b.timestamp, n.kind, n.verb,
    CASE WHEN b.record THEN 'record' WHEN n.plan = 'free' THEN 'free' ELSE 'custom' END,
    b.event_id, b.agent_id, b.body
FROM unnest($9::bigint[], $10::bigint[], $11::integer[], $12::boolean[], $13::text[], $14::text[], $15::bytea[])
    AS b (sequence, timestamp, place, record, event_id, agent_id, body)
JOIN named AS n USING (place)
WHERE (SELECT complete.is FROM complete)`

// errUnnumbered says that a meaning has no kind, and nothing was written.
var errUnnumbered = errors.New("an event of no known kind")

// insert leaves no trace when it fails.
func (t events) insert(ctx context.Context, b *columns) error {
	return t.savepoint(ctx, func(ctx context.Context) error {
		written, err := t.exec(ctx, eventInsert, b.meanings.organizations, b.meanings.actions, b.meanings.outcomes,
			b.tallies.steps, b.tallies.ats, b.tallies.organizations, b.tallies.places, b.tallies.counts,
			b.sequences, b.timestamps, b.places, b.records, b.ids, b.agents, b.bodies)
		switch {
		case err != nil:
			return err
		case written == 0:
			return errUnnumbered
		case written != int64(len(b.sequences)):
			return fmt.Errorf("%d of %d events were written", written, len(b.sequences))
		default:
			return nil
		}
	})
}

const eventMonth = `SELECT event_month($1)`

func (t events) makeMonths(ctx context.Context, rows []store.EventRow) error {
	made := make(map[time.Time]struct{})
	for _, e := range rows {
		month := monthOf(e.Timestamp)
		if _, done := made[month]; done {
			continue
		}
		if err := t.makeMonth(ctx, month); err != nil {
			return err
		}
		made[month] = struct{}{}
	}
	return nil
}

func (t events) makeMonth(ctx context.Context, month time.Time) error {
	_, err := t.exec(ctx, eventMonth, month.UnixMilli())
	return err
}

func monthOf(at time.Time) time.Time {
	at = at.UTC()
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// monthsAhead is how many months have their partitions before they begin: a
// program that is not restarted, nor maintained, for so long still appends at full speed.
const monthsAhead = 2

// Maintain makes the partitions of the months to come, and forgets writers that
// are gone. It is for the start of the program and for every minute it runs.
func (s *Store) Maintain(ctx context.Context, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, t *transaction) error {
		if err := t.forgetWriters(ctx); err != nil {
			return err
		}
		for ahead := range monthsAhead + 1 {
			if err := (events{t}).makeMonth(ctx, monthOf(now).AddDate(0, ahead, 0)); err != nil {
				return err
			}
		}
		return nil
	})
}

// columns are the rows of a batch, column by column.
type columns struct {
	meanings   meanings
	tallies    tallies
	sequences  []int64
	timestamps []int64
	places     []int32 // among the meanings
	records    []bool  // what says how long events are kept
	ids        []string
	agents     []string
	bodies     [][]byte
}

func columnsOf(rows []store.EventRow) columns {
	m := meaningsOf(rows)
	b := columns{
		meanings: m, tallies: tally(rows, m.places),
		sequences: make([]int64, len(rows)), timestamps: make([]int64, len(rows)), places: make([]int32, len(rows)), records: make([]bool, len(rows)),
		ids: make([]string, len(rows)), agents: make([]string, len(rows)), bodies: make([][]byte, len(rows)),
	}
	for i := range rows {
		e := &rows[i]
		b.sequences[i], b.timestamps[i], b.ids[i], b.agents[i], b.bodies[i] = e.Sequence, e.Timestamp.UnixMilli(), e.ID, e.AgentID, e.Body
		b.places[i], b.records[i] = m.places[meaning{e.OrganizationID, e.Action, e.Outcome}], store.IsRecord(e.Action)
	}
	return b
}

const eventGet = `
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, v.action, v.outcome, e.timestamp, e.body
FROM (
    SELECT sequence, event_id, agent_id, kind, timestamp, body
    FROM events
    WHERE event_id >= $2 AND event_id <= $2
    ORDER BY event_id) AS e
JOIN event_kinds AS k ON k.kind = e.kind
JOIN event_verbs AS v ON v.verb = k.verb
WHERE $1 = '' OR k.organization_id = $1`

func (t events) Get(ctx context.Context, organizationID, id string) (store.EventRow, error) {
	t.inOrder()
	return get(ctx, t.transaction, eventGet, scanEvent, organizationID, id)
}

func scanWindow(r row) (w [2]int64, err error) {
	err = r.Scan(&w[0], &w[1])
	return w, err
}

const eventWindow = `
SELECT coalesce((SELECT min(segment) << 12 FROM event_segments WHERE highest >= $1), 9223372036854775807),
    coalesce((SELECT (max(segment) + 1) << 12 FROM event_segments WHERE lowest < $2), 0)`

func (t events) Window(ctx context.Context, from, to time.Time) (first, end int64, err error) {
	lowest, highest, _ := limits(store.EventFilter{From: from, To: to})
	w, err := get(ctx, t.transaction, eventWindow, scanWindow, lowest, highest)
	return w[0], w[1], err
}

// The derived tables must cover every event: see the migration. Lists go no
// further than the head.
const eventHidden = `
SELECT coalesce(min(sequence), -1)
FROM (
    SELECT e.sequence
    FROM events AS e
    LEFT JOIN event_kinds AS k ON k.kind = e.kind
    LEFT JOIN event_verbs AS v ON v.verb = k.verb
    LEFT JOIN event_segments AS s ON s.segment = e.sequence >> 12
    LEFT JOIN event_targets AS t
        ON t.target_agent_id = event_target(e.body) AND t.kind = e.kind AND t.sequence = e.sequence AND t.agent_id = e.agent_id
            AND t.timestamp = e.timestamp AND t.retention = e.retention
    WHERE v.verb IS NULL OR v.verb <> e.verb OR s.segment IS NULL OR e.timestamp NOT BETWEEN s.lowest AND s.highest
        OR t.sequence IS NULL AND event_target(e.body) <> e.agent_id
    UNION ALL
    SELECT least(h.next, newest.sequence)
    FROM event_head AS h, (SELECT max(sequence) AS sequence FROM events) AS newest
    WHERE h.next <> newest.sequence + 1) AS hidden`

// hiddenLimit is for reading the whole log once.
const hiddenLimit = time.Hour

func (t events) Hidden(ctx context.Context) (sequence int64, err error) {
	t.inAnyOrder()
	err = t.patient(hiddenLimit, func() error {
		sequence, err = t.number(ctx, eventHidden)
		return err
	})
	return sequence, err
}

// ceiling is the first whole millisecond that is not before at: events have no finer time.
func ceiling(at time.Time) int64 { return at.Add(time.Millisecond - time.Nanosecond).UnixMilli() }

// limits are an EventFilter's times and Before as the lists take them.
func limits(f store.EventFilter) (from, to, before int64) {
	from, to, before = math.MinInt64, math.MaxInt64, math.MaxInt64
	if !f.From.IsZero() {
		from = ceiling(f.From)
	}
	if !f.To.IsZero() {
		to = ceiling(f.To)
	}
	if f.Before > 0 {
		before = f.Before
	}
	return from, to, before
}
