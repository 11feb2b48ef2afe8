package sqlite

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type stats struct{ *transaction }

// A batch holds few kinds of events. Several runs of this statement take a third
// of the time of one that unpacks them from JSON.
const statAdd = `
INSERT INTO event_counts (step, at, organization_id, action, outcome, count)
VALUES (60, ?1, ?4, ?5, ?6, ?7), (60, ?1, '', ?5, ?6, ?7), (3600, ?2, ?4, ?5, ?6, ?7), (3600, ?2, '', ?5, ?6, ?7),
    (86400, ?3, ?4, ?5, ?6, ?7), (86400, ?3, '', ?5, ?6, ?7)
ON CONFLICT (step, at, organization_id, action, outcome) DO UPDATE SET count = count + excluded.count`

// add counts appended events.
func (t stats) add(ctx context.Context, rows []store.EventRow) error {
	for c, n := range store.TallyUp(rows) {
		if c.OrganizationID == store.AnyOrganization {
			continue // the statement adds to all together as well
		}
		if _, err := t.exec(ctx, statAdd, c.Minute, c.Hour, c.Day, c.OrganizationID, string(c.Action), string(c.Outcome), n); err != nil {
			return err
		}
	}
	return nil
}

// Parameters: ?1 organization, ?2 seconds of the step, ?3 from, ?4 to. One seek
// for each bucket between those that are kept.
const statCounts = `
WITH RECURSIVE kept (first, last) AS (
    SELECT max(?3, coalesce((SELECT min(at) FROM event_counts WHERE step = ?2), ?4)),
        min(?4 - ?2, coalesce((SELECT max(at) FROM event_counts WHERE step = ?2), ?3))
), buckets (at) AS (
    SELECT first FROM kept WHERE first <= last
    UNION ALL
    SELECT at + ?2 FROM buckets CROSS JOIN kept WHERE at + ?2 <= last
)
SELECT c.at, c.action, c.outcome, c.count
FROM buckets AS b
CROSS JOIN event_counts AS c ON c.step = ?2 AND c.at = b.at AND c.organization_id = ?1
ORDER BY c.at, c.action, c.outcome`

func (t stats) Counts(ctx context.Context, q store.CountQuery) ([]store.Count, error) {
	return list(ctx, t.transaction, statCounts, scanCount,
		q.OrganizationID, wholeSeconds(q.Step), q.From.Unix(), q.To.Unix())
}

func scanCount(r row) (c store.Count, err error) {
	var at int64
	err = r.Scan(&at, &c.Action, &c.Outcome, &c.Count)
	c.At = time.Unix(at, 0).UTC()
	return c, err
}

const statSidecars = `
SELECT count(*) FILTER (WHERE s.seen_at > ?2), count(*)
FROM organizations AS o
CROSS JOIN sidecars AS s INDEXED BY sidecars_seen ON s.organization_id = o.id AND s.seen_at > ?3
WHERE ?1 = '' OR o.id = ?1`

func (t stats) Sidecars(ctx context.Context, organizationID string, now time.Time) (connected, recent int64, err error) {
	seen, err := get(ctx, t.transaction, statSidecars, scanSeen,
		organizationID, now.Add(-store.ConnectedWithin).UnixMilli(), now.Add(-time.Hour).UnixMilli())
	return seen[0], seen[1], err
}

func scanSeen(r row) (seen [2]int64, err error) {
	err = r.Scan(&seen[0], &seen[1])
	return seen, err
}

// The highest ranks first; which of a rank come, the index says.
const statMostTokens = `
SELECT agent_id, email, status, tokens
FROM (
    SELECT u.agent_id, a.email, a.status, u.tokens
    FROM token_usage AS u INDEXED BY token_usage_ranked
    CROSS JOIN agents AS a ON a.id = u.agent_id AND a.status <> 'decommissioned'
    WHERE u.organization_id = ?1 AND u.month = ?2
    ORDER BY u.rank DESC
    LIMIT ?3)
ORDER BY tokens DESC, agent_id
LIMIT ?4`

func (t stats) MostTokens(ctx context.Context, organizationID string, at time.Time, limit int) ([]store.AgentUsage, error) {
	return list(ctx, t.transaction, statMostTokens, scanUsage, organizationID, month(at), store.UsageLooked, limit)
}

func scanUsage(r row) (u store.AgentUsage, err error) {
	err = r.Scan(&u.AgentID, &u.Email, &u.Status, &u.Tokens)
	return u, err
}

const statPrune = `
DELETE FROM event_counts
WHERE (step, at, organization_id, action, outcome) IN (
    SELECT step, at, organization_id, action, outcome FROM event_counts
    WHERE step = ?1 AND at < ?2
    ORDER BY at
    LIMIT ?3)`

func (t stats) Prune(ctx context.Context, now time.Time) (more bool, err error) {
	for _, old := range store.OldCounts(now) {
		removed, err := t.exec(ctx, statPrune, wholeSeconds(old.Step), old.Before.Unix(), store.PruneBatch)
		if err != nil {
			return false, err
		}
		more = more || removed == store.PruneBatch
	}
	return more, nil
}
