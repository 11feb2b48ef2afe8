package postgres

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type stats struct{ *transaction }

// tallies are what a batch adds to the counts, column by column. eventInsert
// adds them: a statement of their own would cost a round trip.
type tallies struct {
	steps         []int32
	ats           []int64
	organizations []string
	places        []int32 // of a meaning with the verb, whosever
	counts        []int64
}

// tally counts rows. One statement must not write a row twice.
func tally(rows []store.EventRow, places map[meaning]int32) (c tallies) {
	verbs := make(map[meaning]int32, len(places))
	for m, place := range places {
		verbs[meaning{"", m.action, m.outcome}] = place
	}
	hours, days := make(map[store.TallyKey]int64), make(map[store.TallyKey]int64)
	add := func(step time.Duration, at int64, k store.TallyKey, n int64) {
		c.steps, c.ats, c.organizations = append(c.steps, int32(step/time.Second)), append(c.ats, at), append(c.organizations, k.OrganizationID)
		c.places, c.counts = append(c.places, verbs[meaning{"", k.Action, k.Outcome}]), append(c.counts, n)
	}
	for k, n := range store.TallyUp(rows) {
		add(store.StepMinute, k.Minute, k, n)
		k.Minute = 0
		hours[k] += n
	}
	for k, n := range hours {
		add(store.StepHour, k.Hour, k, n)
		k.Hour = 0
		days[k] += n
	}
	for k, n := range days {
		add(store.StepDay, k.Day, k, n)
	}
	return c
}

// Parameters: $1 organization, $2 seconds of the step, $3 from, $4 to. One seek
// for each bucket between those that are kept; OFFSET 0 keeps the planner from
// joining in another way.
const statCounts = `
WITH kept AS (
    SELECT greatest($3::bigint, (SELECT min(at) FROM event_counts WHERE step = $2::integer)) AS first,
        least($4::bigint - $2, (SELECT max(at) FROM event_counts WHERE step = $2)) AS last
)
SELECT c.at, v.action, v.outcome, c.count
FROM kept
CROSS JOIN LATERAL generate_series(kept.first, kept.last, $2) AS b (at)
CROSS JOIN LATERAL (
    SELECT at, verb, count FROM event_counts
    WHERE step = $2 AND at = b.at AND organization_id = $1
    OFFSET 0) AS c
JOIN event_verbs AS v ON v.verb = c.verb
ORDER BY c.at, v.action, v.outcome`

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
SELECT count(*) FILTER (WHERE s.seen_at > $2), count(*)
FROM organizations AS o
JOIN sidecars AS s ON s.organization_id = o.id AND s.seen_at > $3
WHERE $1 = '' OR o.id = $1`

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
    FROM token_usage AS u
    JOIN agents AS a ON a.id = u.agent_id AND a.status <> 'decommissioned'
    WHERE u.organization_id = $1 AND u.month = $2
    ORDER BY u.rank DESC
    LIMIT $3) AS ranked
ORDER BY tokens DESC, agent_id
LIMIT $4`

func (t stats) MostTokens(ctx context.Context, organizationID string, at time.Time, limit int) ([]store.AgentUsage, error) {
	return list(ctx, t.transaction, statMostTokens, scanUsage, organizationID, month(at), store.UsageLooked, limit)
}

func scanUsage(r row) (u store.AgentUsage, err error) {
	err = r.Scan(&u.AgentID, &u.Email, &u.Status, &u.Tokens)
	return u, err
}

const statPrune = `
DELETE FROM event_counts
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM event_counts
    WHERE step = $1 AND at < $2
    ORDER BY at
    LIMIT $3))`

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
