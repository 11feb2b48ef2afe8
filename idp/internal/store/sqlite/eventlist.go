package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Parameters of the lists: ?1 organization, ?2 agent, ?3 action, ?4
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

// ?9 the target. What a list narrows by lies beside it, so the events that it
// passes over are not read.
const eventListByTarget = `
SELECT e.sequence, e.event_id, e.organization_id, e.agent_id, e.action, e.outcome, e.timestamp, e.body
FROM event_targets AS t
CROSS JOIN events AS e ON e.sequence = t.sequence AND e.organization_id = t.organization_id
WHERE t.target_agent_id = ?9
    AND t.sequence < min(?7, (SELECT max(segment) + 1 << 12 FROM event_segments WHERE lowest < ?6))
    AND t.sequence >= (SELECT min(segment) << 12 FROM event_segments WHERE highest >= ?5)
    AND e.timestamp >= ?5 AND e.timestamp < ?6
    AND (?1 = '' OR t.organization_id = ?1)
    AND (?2 = '' OR t.agent_id = ?2)
    AND (?3 = '' OR t.action = ?3)
    AND (?4 = '' OR t.outcome = ?4)
ORDER BY t.sequence DESC
LIMIT ?8`

func (t events) List(ctx context.Context, f store.EventFilter) ([]store.EventRow, error) {
	from, to, before := limits(f)
	args := []any{f.OrganizationID, f.AgentID, string(f.Action), string(f.Outcome), from, to, before, f.Limit}
	query := eventList
	switch {
	case f.TargetAgentID != "":
		query, args = eventListByTarget, append(args, f.TargetAgentID)
	case f.AgentID != "":
		query = eventListByAgent
	case f.OrganizationID != store.AnyOrganization || f.Action != "" || f.Outcome != "":
		query = eventListByKind
	}
	return list(ctx, t.transaction, query, scanEvent, args...)
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
