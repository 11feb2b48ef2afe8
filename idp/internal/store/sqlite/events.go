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

// Rows go in by sixteens where there are as many: that takes two thirds of the
// time. OR FAIL for the reason that the trigger on events gives.
const (
	rowsAtOnce = 16
	rowColumns = 9
)

const eventInsertMany = `
INSERT OR FAIL INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body, retention)
VALUES
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?),
    (?, ?, ?, ?, ?, ?, ?, ?, ?)`

const eventInsert = `
INSERT OR FAIL INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body, retention)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

// Append answers idp.ErrConflict for rows that do not continue the log: someone
// else has appended, or the id is taken.
func (t events) Append(ctx context.Context, rows []store.EventRow) error {
	classes, err := t.classes(ctx, rows)
	if err != nil {
		return err
	}
	args := make([]any, 0, min(len(rows), rowsAtOnce)*rowColumns)
	for rest := rows; len(rest) > 0; {
		query, n := eventInsert, 1
		if len(rest) >= rowsAtOnce {
			query, n = eventInsertMany, rowsAtOnce
		}
		args = args[:0]
		for i := range rest[:n] {
			e := &rest[i]
			class := classes[e.OrganizationID]
			if store.IsRecord(e.Action) {
				class = store.ClassRecord
			}
			args = append(args, e.Sequence, e.ID, e.OrganizationID, e.AgentID, string(e.Action), string(e.Outcome), e.Timestamp.UnixMilli(), e.Body, string(class))
		}
		_, err := t.exec(ctx, query, args...)
		if code(err) == sqlite3.SQLITE_CONSTRAINT_TRIGGER {
			return fmt.Errorf("%w: events from %d do not continue the log: %w", idp.ErrConflict, rest[0].Sequence, err)
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := t.summarize(ctx, rows); err != nil {
		return err
	}
	if err := t.target(ctx, rows); err != nil {
		return err
	}
	return stats(t).add(ctx, rows)
}

const eventClass = `SELECT EXISTS (SELECT 1 FROM organizations WHERE id = ?1 AND plan = 'free')`

// classes are the retention classes of the rows' organizations: by their plans now.
// Events of an organization that is not known are kept longest.
func (t events) classes(ctx context.Context, rows []store.EventRow) (map[string]store.Class, error) {
	classes := make(map[string]store.Class, 1)
	for i := range rows {
		id := rows[i].OrganizationID
		if _, known := classes[id]; known {
			continue
		}
		free, err := t.number(ctx, eventClass, id)
		if err != nil {
			return nil, err
		}
		if classes[id] = store.ClassCustom; free == 1 {
			classes[id] = store.ClassFree
		}
	}
	return classes, nil
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

// summarize keeps what the lists are helped by.
func (t events) summarize(ctx context.Context, rows []store.EventRow) error {
	spans := make(map[int64]span, 1)
	kinds := make(map[kind]struct{})
	for i := range rows {
		e := &rows[i]
		segment := e.Sequence >> segmentBits
		covered, begun := spans[segment]
		if !begun {
			covered = span{math.MaxInt64, math.MinInt64}
		}
		covered.include(e.Timestamp)
		spans[segment] = covered
		kinds[kind{segment, e.OrganizationID, e.Action, e.Outcome}] = struct{}{}
	}
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

const eventTarget = `
INSERT INTO event_targets (target_agent_id, sequence, organization_id, agent_id, action, outcome)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)`

// target keeps to whom it was done, by whom, and what.
func (t events) target(ctx context.Context, rows []store.EventRow) error {
	for i := range rows {
		e := &rows[i]
		target := e.Target()
		if target == "" {
			continue
		}
		if _, err := t.exec(ctx, eventTarget, target, e.Sequence, e.OrganizationID, e.AgentID, string(e.Action), string(e.Outcome)); err != nil {
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
            AND k.action = events.action AND k.outcome = events.outcome)
    OR instr(body, CAST('"targetAgentId":"' AS BLOB)) > 0 AND EXISTS (
        SELECT 1
        FROM (
            SELECT substr(marked.rest, 1, instr(marked.rest, '"') - 1) AS target
            FROM (SELECT substr(CAST(events.body AS TEXT), instr(CAST(events.body AS TEXT), '"targetAgentId":"') + 17) AS rest) AS marked) AS named
        WHERE named.target <> '' AND named.target <> events.agent_id
            AND NOT EXISTS (
                SELECT 1 FROM event_targets AS t
                WHERE t.target_agent_id = named.target AND t.sequence = events.sequence AND t.organization_id = events.organization_id
                    AND t.agent_id = events.agent_id AND t.action = events.action AND t.outcome = events.outcome))`

func (t events) Hidden(ctx context.Context) (int64, error) { return t.number(ctx, eventHidden) }
