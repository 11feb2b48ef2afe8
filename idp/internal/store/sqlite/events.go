package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// segmentBits is log2 of the sequences in a segment; the schema says the same.
const segmentBits = 12

type events struct{ *transaction }

func scanEvent(r row) (e store.EventRow, err error) {
	err = r.Scan(&e.Sequence, &e.ID, &e.OrganizationID, &e.AgentID, &e.Action, &e.Outcome, moment{&e.Timestamp}, &e.Body)
	return e, err
}

// OR FAIL for the reason that the trigger on events gives. The retention class is
// the organization's plan now; events of one that is not known are kept longest.
// What says how long events are kept is of a class of its own.
const eventInsert = `
INSERT OR FAIL INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body, retention)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
    CASE WHEN ?5 IN ('audit.pruned', 'administrator.bootstrapped', 'organization.created', 'organization.updated') THEN 'record' ELSE coalesce((SELECT 'free' FROM organizations WHERE id = ?3 AND plan = 'free'), 'custom') END)`

// Append answers idp.ErrConflict for rows that do not continue the log: someone
// else has appended, or the id is taken.
func (t events) Append(ctx context.Context, rows []store.EventRow) error {
	spans := make(map[int64]*span)
	kinds := make(map[kind]struct{})
	for i := range rows {
		e := &rows[i]
		_, err := t.exec(ctx, eventInsert, e.Sequence, e.ID, e.OrganizationID, e.AgentID,
			string(e.Action), string(e.Outcome), e.Timestamp.UnixMilli(), e.Body)
		if code(err) == sqlite3.SQLITE_CONSTRAINT_TRIGGER {
			return fmt.Errorf("%w: event %d does not continue the log: %w", idp.ErrConflict, e.Sequence, err)
		}
		if err != nil {
			return err
		}
		segment := e.Sequence >> segmentBits
		kinds[kind{segment, e.OrganizationID, e.Action, e.Outcome}] = struct{}{}
		if spans[segment] == nil {
			spans[segment] = &span{math.MaxInt64, math.MinInt64}
		}
		spans[segment].include(e.Timestamp)
	}
	if err := t.summarize(ctx, spans, kinds); err != nil {
		return err
	}
	return stats(t).add(ctx, rows)
}

// span is the time that a segment's events cover, in Unix milliseconds.
type span struct{ lowest, highest int64 }

func (s *span) include(at time.Time) {
	s.lowest, s.highest = min(s.lowest, at.UnixMilli()), max(s.highest, at.UnixMilli())
}

// kind is one combination of columns that a segment holds.
type kind struct {
	segment        int64
	organizationID string
	action         idp.Action
	outcome        idp.Outcome
}

const eventSpan = `
INSERT INTO event_segments (segment, lowest, highest)
VALUES (?1, ?2, ?3)
ON CONFLICT (segment) DO UPDATE SET lowest = min(lowest, excluded.lowest), highest = max(highest, excluded.highest)`

const eventKind = `
INSERT INTO event_kinds (segment, organization_id, action, outcome)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO NOTHING`

func (t events) summarize(ctx context.Context, spans map[int64]*span, kinds map[kind]struct{}) error {
	for segment, covered := range spans {
		if _, err := t.exec(ctx, eventSpan, segment, covered.lowest, covered.highest); err != nil {
			return err
		}
	}
	for k := range kinds {
		if _, err := t.exec(ctx, eventKind, k.segment, k.organizationID, string(k.action), string(k.outcome)); err != nil {
			return err
		}
	}
	return nil
}

const eventGet = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body
FROM events
WHERE event_id = ?2 AND (?1 = '' OR organization_id = ?1)`

func (t events) Get(ctx context.Context, organizationID, id string) (store.EventRow, error) {
	return get(ctx, t.transaction, eventGet, scanEvent, organizationID, id)
}

// Parameters of the three lists: ?1 organization, ?2 agent, ?3 action, ?4
// outcome, ?5 from, ?6 to, ?7 before, ?8 limit. See the migration for why they
// walk segments. Only in a segment that reaches over an end of the time range
// are single timestamps looked at.

// Newest first, narrowed by time alone.
const eventList = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body
FROM events
WHERE sequence < min(?7, (SELECT max(segment) + 1 << 12 FROM event_segments WHERE lowest < ?6))
    AND sequence >= (SELECT min(segment) << 12 FROM event_segments WHERE highest >= ?5)
    AND timestamp >= ?5 AND timestamp < ?6
    AND ?1 = '' AND ?2 = '' AND ?3 = '' AND ?4 = ''
ORDER BY sequence DESC
LIMIT ?8`

const eventListByKind = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body
FROM events
WHERE sequence IN (
    SELECT e.sequence
    FROM event_kinds AS k
    CROSS JOIN event_segments AS s ON s.segment = k.segment AND s.lowest < ?6 AND s.highest >= ?5
    CROSS JOIN events AS e INDEXED BY events_by_kind
        ON e.segment = k.segment AND e.organization_id = k.organization_id
        AND e.action = k.action AND e.outcome = k.outcome AND e.sequence < ?7
    WHERE k.segment <= (?7 - 1) >> 12 AND ?2 = ''
        AND (?1 = '' OR k.organization_id = ?1)
        AND (?3 = '' OR k.action = ?3)
        AND (?4 = '' OR k.outcome = ?4)
        AND (s.lowest >= ?5 AND s.highest < ?6 OR e.timestamp >= ?5 AND e.timestamp < ?6)
    ORDER BY k.segment DESC, e.sequence DESC
    LIMIT ?8)
ORDER BY sequence DESC`

const eventListByAgent = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body
FROM events
WHERE sequence IN (
    SELECT e.sequence
    FROM event_segments AS s
    CROSS JOIN events AS e INDEXED BY events_by_agent
        ON e.segment = s.segment AND e.agent_id = ?2 AND e.sequence < ?7
    WHERE s.segment <= (?7 - 1) >> 12 AND s.lowest < ?6 AND s.highest >= ?5
        AND (?1 = '' OR e.organization_id = ?1)
        AND (?3 = '' OR e.action = ?3)
        AND (?4 = '' OR e.outcome = ?4)
        AND (s.lowest >= ?5 AND s.highest < ?6 OR e.timestamp >= ?5 AND e.timestamp < ?6)
    ORDER BY s.segment DESC, e.sequence DESC
    LIMIT ?8)
ORDER BY sequence DESC`

func (t events) List(ctx context.Context, f store.EventFilter) ([]store.EventRow, error) {
	query := eventList
	switch {
	case f.AgentID != "":
		query = eventListByAgent
	case f.OrganizationID != store.AnyOrganization || f.Action != "" || f.Outcome != "":
		query = eventListByKind
	}
	from, to, before := limits(f)
	return list(ctx, t.transaction, query, scanEvent,
		f.OrganizationID, f.AgentID, string(f.Action), string(f.Outcome), from, to, before, f.Limit)
}

// limits are the filter's times and Before as the lists take them.
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

// ceiling is the first whole millisecond that is not before at: events have no finer time.
func ceiling(at time.Time) int64 { return at.Add(time.Millisecond - time.Nanosecond).UnixMilli() }

const eventRangeAll = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body
FROM events
WHERE sequence >= ?1
ORDER BY sequence
LIMIT ?2`

// Oldest first, segment by segment like the lists.
const eventRange = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body
FROM events
WHERE sequence IN (
    SELECT e.sequence
    FROM event_kinds AS k
    CROSS JOIN events AS e INDEXED BY events_by_kind
        ON e.segment = k.segment AND e.organization_id = k.organization_id
        AND e.action = k.action AND e.outcome = k.outcome AND e.sequence >= ?1
    WHERE k.segment >= ?1 >> 12 AND k.organization_id = ?3
    ORDER BY k.segment, e.sequence
    LIMIT ?2)
ORDER BY sequence`

func (t events) Range(ctx context.Context, organizationID string, from int64, limit int) ([]store.EventRow, error) {
	if organizationID == store.AnyOrganization {
		return list(ctx, t.transaction, eventRangeAll, scanEvent, from, limit)
	}
	return list(ctx, t.transaction, eventRange, scanEvent, from, limit, organizationID)
}

func scanWindow(r row) (w [2]int64, err error) {
	err = r.Scan(&w[0], &w[1])
	return w, err
}

const eventWindow = `
SELECT coalesce((SELECT min(segment) << 12 FROM event_segments WHERE highest >= ?1), 9223372036854775807),
    coalesce((SELECT max(segment) + 1 << 12 FROM event_segments WHERE lowest < ?2), 0)`

func (t events) Window(ctx context.Context, from, to time.Time) (first, end int64, err error) {
	lowest, highest, _ := limits(store.EventFilter{From: from, To: to})
	w, err := get(ctx, t.transaction, eventWindow, scanWindow, lowest, highest)
	return w[0], w[1], err
}

// The derived tables must cover every event: see the migration.
const eventHidden = `
SELECT coalesce(min(sequence), -1)
FROM events
WHERE NOT EXISTS (
        SELECT 1 FROM event_segments AS s
        WHERE s.segment = events.segment AND events.timestamp BETWEEN s.lowest AND s.highest)
    OR NOT EXISTS (
        SELECT 1 FROM event_kinds AS k
        WHERE k.segment = events.segment AND k.organization_id = events.organization_id
            AND k.action = events.action AND k.outcome = events.outcome)`

func (t events) Hidden(ctx context.Context) (int64, error) { return t.number(ctx, eventHidden) }
