package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// List walks down from the newest sequence that the times and Before leave, by
// windows that widen: a window takes the newest of each kind in it, and merges.
// So a frequent kind costs no more than a page, and a rare one few more windows.
func (t events) List(ctx context.Context, f store.EventFilter) ([]store.EventRow, error) {
	from, to, before := limits(f)
	t.inOrder()
	open, err := t.bounds(ctx, from, to, before)
	if err != nil {
		return nil, err
	}
	find, width := t.finder(f), int64(firstWindow)
	var found []store.EventRow
	for open.lowest < open.above && len(found) < f.Limit {
		window := span{max(open.lowest, open.above-width), open.above}
		rows, err := find(ctx, from, to, window.lowest, window.above, f.Limit-len(found))
		if err != nil {
			return nil, err
		}
		found = append(found, rows...)
		open.above, width = window.lowest, width*widening
	}
	return found, nil
}

// Ten million events are at most five windows.
const (
	firstWindow = 4096
	widening    = 8
)

// span is a range of sequences: lowest <= sequence < above.
type span struct{ lowest, above int64 }

func scanSpan(r row) (s span, err error) {
	err = r.Scan(&s.lowest, &s.above)
	return s, err
}

// The segments turn times into sequences; only at the ends of the span may
// events lie outside the times, so the lists look at the timestamps too.
const eventBounds = `
SELECT coalesce((SELECT min(segment) << 12 FROM event_segments WHERE highest >= $1), next),
    least($3, next, coalesce((SELECT max(segment) + 1 << 12 FROM event_segments WHERE lowest < $2), 0))
FROM event_head
WHERE id = 1`

func (t events) bounds(ctx context.Context, from, to, before int64) (span, error) {
	return get(ctx, t.transaction, eventBounds, scanSpan, from, to, before)
}

// Parameters of the lists: $1 from, $2 to, $3 lowest, $4 above, $5 limit, then
// what else a list narrows by; the empty string does not narrow.
//
// The planner cannot know how rare a kind is among the sequences, and would at
// times read all of them to find none. So a kind is asked for as ANY of a list,
// which says the same, but lets only the index that begins with it give the
// order asked for.

// Narrowed by time alone.
const eventList = `
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, v.action, v.outcome, e.timestamp, e.body
FROM (
    SELECT sequence, event_id, agent_id, kind, timestamp, body
    FROM events
    WHERE sequence >= $3 AND sequence < $4 AND timestamp >= $1 AND timestamp < $2
    ORDER BY sequence DESC
    LIMIT $5) AS e
JOIN event_kinds AS k ON k.kind = e.kind
JOIN event_verbs AS v ON v.verb = k.verb
ORDER BY e.sequence DESC`

// $6 action, $7 outcome, in all organizations.
const eventListByVerb = `
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, e.action, e.outcome, e.timestamp, e.body
FROM (
    SELECT newest.sequence, newest.event_id, newest.agent_id, newest.kind, newest.timestamp, newest.body, v.action, v.outcome
    FROM event_verbs AS v
    CROSS JOIN LATERAL (
        SELECT sequence, event_id, agent_id, kind, timestamp, body
        FROM events
        WHERE verb = ANY (ARRAY[v.verb, v.verb]) AND sequence >= $3 AND sequence < $4 AND timestamp >= $1 AND timestamp < $2
        ORDER BY verb DESC, sequence DESC
        LIMIT $5) AS newest
    WHERE ($6 = '' OR v.action = $6) AND ($7 = '' OR v.outcome = $7)
    ORDER BY newest.sequence DESC
    LIMIT $5) AS e
JOIN event_kinds AS k ON k.kind = e.kind
ORDER BY e.sequence DESC`

// $6 action, $7 outcome, $8 the organization.
const eventListByKind = `
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, v.action, v.outcome, e.timestamp, e.body
FROM event_kinds AS k
JOIN event_verbs AS v ON v.verb = k.verb
CROSS JOIN LATERAL (
    SELECT sequence, event_id, agent_id, timestamp, body
    FROM events
    WHERE kind = ANY (ARRAY[k.kind, k.kind]) AND sequence >= $3 AND sequence < $4 AND timestamp >= $1 AND timestamp < $2
    ORDER BY kind DESC, sequence DESC
    LIMIT $5) AS e
WHERE k.organization_id = $8 AND ($6 = '' OR v.action = $6) AND ($7 = '' OR v.outcome = $7)
ORDER BY e.sequence DESC
LIMIT $5`

// $6 action, $7 outcome, $8 organization, $9 the agent. Which kinds an agent has
// is read off the index, hopping from one to the next.
const eventListByAgent = `
WITH RECURSIVE held (kind) AS (
    SELECT 0
    UNION ALL
    SELECT (
        SELECT kind
        FROM events
        WHERE (agent_id, kind) > ($9, held.kind) AND (agent_id, kind) <= ($9, 2147483647)
        ORDER BY agent_id, kind
        LIMIT 1)
    FROM held
    WHERE held.kind IS NOT NULL)
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, v.action, v.outcome, e.timestamp, e.body
FROM held
JOIN event_kinds AS k ON k.kind = held.kind
JOIN event_verbs AS v ON v.verb = k.verb
CROSS JOIN LATERAL (
    SELECT sequence, event_id, agent_id, timestamp, body
    FROM events
    WHERE agent_id = ANY (ARRAY[$9, $9]) AND kind = k.kind AND sequence >= $3 AND sequence < $4
        AND timestamp >= $1 AND timestamp < $2
    ORDER BY agent_id DESC, sequence DESC
    LIMIT $5) AS e
WHERE ($6 = '' OR v.action = $6) AND ($7 = '' OR v.outcome = $7) AND ($8 = '' OR k.organization_id = $8)
ORDER BY e.sequence DESC
LIMIT $5`

// $6 action, $7 outcome, $8 organization, $9 the target. Of which kinds its deeds
// are is read off the index, as an agent's. The page's events are looked up in the
// end, each in its partition.
const eventListByTarget = `
WITH RECURSIVE held (kind) AS (
    SELECT 0
    UNION ALL
    SELECT (
        SELECT kind
        FROM event_targets
        WHERE (target_agent_id, kind) > ($9, held.kind) AND (target_agent_id, kind) <= ($9, 2147483647)
        ORDER BY target_agent_id, kind
        LIMIT 1)
    FROM held
    WHERE held.kind IS NOT NULL),
newest AS MATERIALIZED (
    SELECT t.sequence, t.timestamp, t.retention, k.kind, k.organization_id, v.action, v.outcome
    FROM held
    JOIN event_kinds AS k ON k.kind = held.kind
    JOIN event_verbs AS v ON v.verb = k.verb
    CROSS JOIN LATERAL (
        SELECT sequence, timestamp, retention
        FROM event_targets
        WHERE target_agent_id = ANY (ARRAY[$9, $9]) AND kind = k.kind AND sequence >= $3 AND sequence < $4
            AND timestamp >= $1 AND timestamp < $2
        ORDER BY target_agent_id DESC, sequence DESC
        LIMIT $5) AS t
    WHERE ($6 = '' OR v.action = $6) AND ($7 = '' OR v.outcome = $7) AND ($8 = '' OR k.organization_id = $8)
    ORDER BY t.sequence DESC
    LIMIT $5)
SELECT e.sequence, e.event_id, t.organization_id, e.agent_id, t.action, t.outcome, e.timestamp, e.body
FROM newest AS t
CROSS JOIN LATERAL (
    SELECT sequence, event_id, agent_id, kind, timestamp, body
    FROM events
    WHERE retention = t.retention AND timestamp = t.timestamp AND sequence >= t.sequence AND sequence <= t.sequence
    ORDER BY sequence
    LIMIT 1) AS e
WHERE e.kind = t.kind
ORDER BY t.sequence DESC`

// $10 whose deeds, beside the same.
const eventListByTargetAndAgent = `
WITH RECURSIVE held (kind) AS (
    SELECT 0
    UNION ALL
    SELECT (
        SELECT kind
        FROM event_targets
        WHERE (agent_id, target_agent_id, kind) > ($10, $9, held.kind) AND (agent_id, target_agent_id, kind) <= ($10, $9, 2147483647)
        ORDER BY agent_id, target_agent_id, kind
        LIMIT 1)
    FROM held
    WHERE held.kind IS NOT NULL),
newest AS MATERIALIZED (
    SELECT t.sequence, t.timestamp, t.retention, k.kind, k.organization_id, v.action, v.outcome
    FROM held
    JOIN event_kinds AS k ON k.kind = held.kind
    JOIN event_verbs AS v ON v.verb = k.verb
    CROSS JOIN LATERAL (
        SELECT sequence, timestamp, retention
        FROM event_targets
        WHERE agent_id = ANY (ARRAY[$10, $10]) AND target_agent_id = $9 AND kind = k.kind AND sequence >= $3 AND sequence < $4
            AND timestamp >= $1 AND timestamp < $2
        ORDER BY agent_id DESC, sequence DESC
        LIMIT $5) AS t
    WHERE ($6 = '' OR v.action = $6) AND ($7 = '' OR v.outcome = $7) AND ($8 = '' OR k.organization_id = $8)
    ORDER BY t.sequence DESC
    LIMIT $5)
SELECT e.sequence, e.event_id, t.organization_id, e.agent_id, t.action, t.outcome, e.timestamp, e.body
FROM newest AS t
CROSS JOIN LATERAL (
    SELECT sequence, event_id, agent_id, kind, timestamp, body
    FROM events
    WHERE retention = t.retention AND timestamp = t.timestamp AND sequence >= t.sequence AND sequence <= t.sequence
    ORDER BY sequence
    LIMIT 1) AS e
WHERE e.kind = t.kind
ORDER BY t.sequence DESC`

// finder returns how to list a span of sequences: by the narrowest index that the filter names.
func (t events) finder(f store.EventFilter) func(ctx context.Context, from, to, lowest, above int64, limit int) ([]store.EventRow, error) {
	query, narrow := eventList, []any(nil)
	switch {
	case f.TargetAgentID != "" && f.AgentID != "":
		query, narrow = eventListByTargetAndAgent, []any{string(f.Action), string(f.Outcome), f.OrganizationID, f.TargetAgentID, f.AgentID}
	case f.TargetAgentID != "":
		query, narrow = eventListByTarget, []any{string(f.Action), string(f.Outcome), f.OrganizationID, f.TargetAgentID}
	case f.AgentID != "":
		query, narrow = eventListByAgent, []any{string(f.Action), string(f.Outcome), f.OrganizationID, f.AgentID}
	case f.OrganizationID != store.AnyOrganization:
		query, narrow = eventListByKind, []any{string(f.Action), string(f.Outcome), f.OrganizationID}
	case f.Action != "" || f.Outcome != "":
		query, narrow = eventListByVerb, []any{string(f.Action), string(f.Outcome)}
	}
	return func(ctx context.Context, from, to, lowest, above int64, limit int) ([]store.EventRow, error) {
		return list(ctx, t.transaction, query, scanEvent, append([]any{from, to, lowest, above, limit}, narrow...)...)
	}
}

const eventRangeAll = `
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, v.action, v.outcome, e.timestamp, e.body
FROM (
    SELECT sequence, event_id, agent_id, kind, timestamp, body
    FROM events
    WHERE sequence >= $1
    ORDER BY sequence
    LIMIT $2) AS e
JOIN event_kinds AS k ON k.kind = e.kind
JOIN event_verbs AS v ON v.verb = k.verb
ORDER BY e.sequence`

// $4 the organization, else as the lists.
const eventRange = `
SELECT e.sequence, e.event_id, k.organization_id, e.agent_id, v.action, v.outcome, e.timestamp, e.body
FROM event_kinds AS k
JOIN event_verbs AS v ON v.verb = k.verb
CROSS JOIN LATERAL (
    SELECT sequence, event_id, agent_id, timestamp, body
    FROM events
    WHERE kind = ANY (ARRAY[k.kind, k.kind]) AND sequence >= $1 AND sequence < $2
    ORDER BY kind, sequence
    LIMIT $3) AS e
WHERE k.organization_id = $4
ORDER BY e.sequence
LIMIT $3`

const eventNext = `SELECT next FROM event_head WHERE id = 1`

// Range walks up by windows as List walks down.
func (t events) Range(ctx context.Context, organizationID string, from int64, limit int) ([]store.EventRow, error) {
	t.inOrder()
	if organizationID == store.AnyOrganization {
		return list(ctx, t.transaction, eventRangeAll, scanEvent, from, limit)
	}
	next, err := t.number(ctx, eventNext)
	if err != nil {
		return nil, err
	}
	var found []store.EventRow
	for width := int64(firstWindow); from < next && len(found) < limit; width *= widening {
		above := min(next, from+width)
		rows, err := list(ctx, t.transaction, eventRange, scanEvent, from, above, limit-len(found), organizationID)
		if err != nil {
			return nil, err
		}
		found, from = append(found, rows...), above
	}
	return found, nil
}
