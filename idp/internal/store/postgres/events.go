package postgres

import (
	"context"
	"math"
	"time"

	"github.com/sentryagent/agentidp/idp"
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
	batch, err := t.columns(ctx, rows)
	if err != nil {
		return err
	}
	err = t.savepoint(ctx, func(ctx context.Context) error { return t.insert(ctx, batch) })
	if code(err) != noPartition {
		return err
	}
	// There is no partition for a month that this clock has not shown before.
	if err := t.makeMonths(ctx, rows); err != nil {
		return err
	}
	return t.insert(ctx, batch)
}

// The counts of stats.go go with the events.
const eventInsert = `
WITH counted AS (
    INSERT INTO event_counts AS c (step, at, organization_id, verb, count)
    SELECT step, at, organization_id, verb, count
    FROM unnest($9::integer[], $10::bigint[], $11::text[], $12::smallint[], $13::bigint[]) AS tallies (step, at, organization_id, verb, count)
    ON CONFLICT (step, at, organization_id, verb) DO UPDATE SET count = c.count + excluded.count)
INSERT INTO events (sequence, timestamp, kind, verb, retention, event_id, agent_id, body)
SELECT sequence, timestamp, kind, verb, retention, event_id, agent_id, body
FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::bytea[])
    AS batch (sequence, timestamp, kind, verb, retention, event_id, agent_id, body)`

func (t events) insert(ctx context.Context, b columns) error {
	_, err := t.exec(ctx, eventInsert, b.sequences, b.timestamps, b.kinds, b.verbs, b.retentions, b.ids, b.agents, b.bodies,
		b.tallies.steps, b.tallies.ats, b.tallies.organizations, b.tallies.verbs, b.tallies.counts)
	return err
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
	sequences  []int64
	timestamps []int64
	kinds      []int32
	verbs      []int16
	retentions []string
	ids        []string
	agents     []string
	bodies     [][]byte
	tallies    tallies
}

// meaning is what the schema calls a kind.
type meaning struct {
	organizationID string
	action         idp.Action
	outcome        idp.Outcome
}

// kind is what the columns say instead of a meaning.
type kind struct {
	number    int32
	verb      int16
	retention string
}

func (t events) columns(ctx context.Context, rows []store.EventRow) (columns, error) {
	kinds, err := t.kinds(ctx, rows)
	if err != nil {
		return columns{}, err
	}
	b := columns{
		sequences: make([]int64, len(rows)), timestamps: make([]int64, len(rows)),
		kinds: make([]int32, len(rows)), verbs: make([]int16, len(rows)), retentions: make([]string, len(rows)),
		ids: make([]string, len(rows)), agents: make([]string, len(rows)), bodies: make([][]byte, len(rows)),
		tallies: tally(rows, kinds),
	}
	for i := range rows {
		e := &rows[i]
		k := kinds[meaning{e.OrganizationID, e.Action, e.Outcome}]
		b.sequences[i], b.timestamps[i], b.ids[i], b.agents[i], b.bodies[i] = e.Sequence, e.Timestamp.UnixMilli(), e.ID, e.AgentID, e.Body
		b.kinds[i], b.verbs[i], b.retentions[i] = k.number, k.verb, k.retention
	}
	return b, nil
}

func scanKind(r row) (k kind, err error) {
	err = r.Scan(&k.number, &k.verb, &k.retention)
	return k, err
}

// The retention class is the organization's plan now; events of an organization
// that is not known are kept longest. What says how long events are kept is of a
// class of its own.
const eventKinds = `
SELECT numbered.kind, numbered.verb, CASE
        WHEN m.action IN ('audit.pruned', 'administrator.bootstrapped', 'organization.created', 'organization.updated') THEN 'record'
        WHEN o.plan = 'free' THEN 'free' ELSE 'custom' END
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS m (organization_id, action, outcome, place)
LEFT JOIN event_verbs AS v ON v.action = m.action AND v.outcome = m.outcome
LEFT JOIN event_kinds AS k ON k.organization_id = m.organization_id AND k.verb = v.verb
CROSS JOIN LATERAL (
    SELECT k.kind, k.verb WHERE k.kind IS NOT NULL
    UNION ALL
    SELECT kind, verb FROM event_kind(m.organization_id, m.action, m.outcome) WHERE k.kind IS NULL) AS numbered
LEFT JOIN organizations AS o ON o.id = m.organization_id
ORDER BY m.place`

// kinds numbers what the rows mean, new meanings too.
func (t events) kinds(ctx context.Context, rows []store.EventRow) (map[meaning]kind, error) {
	numbered := make(map[meaning]kind)
	var meanings []meaning
	var organizations, actions, outcomes []string
	for i := range rows {
		e := &rows[i]
		m := meaning{e.OrganizationID, e.Action, e.Outcome}
		if _, seen := numbered[m]; seen {
			continue
		}
		numbered[m] = kind{}
		meanings = append(meanings, m)
		organizations, actions, outcomes = append(organizations, m.organizationID), append(actions, string(m.action)), append(outcomes, string(m.outcome))
	}
	found, err := list(ctx, t.transaction, eventKinds, scanKind, organizations, actions, outcomes)
	if err != nil {
		return nil, err
	}
	for i, k := range found {
		numbered[meanings[i]] = k
	}
	return numbered, nil
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
    WHERE v.verb IS NULL OR v.verb <> e.verb OR s.segment IS NULL OR e.timestamp NOT BETWEEN s.lowest AND s.highest
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
