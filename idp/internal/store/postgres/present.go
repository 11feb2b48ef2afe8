package postgres

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

const statAgents = `
SELECT coalesce(sum(count) FILTER (WHERE status = 'active'), 0)::bigint, coalesce(sum(count) FILTER (WHERE status = 'suspended'), 0)::bigint,
    coalesce(sum(count) FILTER (WHERE status = 'decommissioned'), 0)::bigint,
    coalesce(sum(count) FILTER (WHERE status <> 'decommissioned' AND environment = 'development'), 0)::bigint,
    coalesce(sum(count) FILTER (WHERE status <> 'decommissioned' AND environment = 'staging'), 0)::bigint,
    coalesce(sum(count) FILTER (WHERE status <> 'decommissioned' AND environment = 'production'), 0)::bigint
FROM agent_counts
WHERE organization_id = $1 AND owner = '' AND capability = ''`

func (t stats) Present(ctx context.Context, organizationID string, now time.Time) (store.Present, error) {
	p, err := get(ctx, t.transaction, statAgents, scanAgentCounts, organizationID)
	if err != nil {
		return p, err
	}
	active, err := t.activeCredentials(ctx, organizationID)
	if err != nil {
		return p, err
	}
	ended, err := t.ended(ctx, organizationID, now.UnixMilli()+1)
	if err != nil {
		return p, err
	}
	ending, err := t.ended(ctx, organizationID, now.Add(store.ExpiringWithin).UnixMilli())
	if err != nil {
		return p, err
	}
	p.Credentials, p.ExpiringCredentials = active-ended.all, ending.ofActive-ended.ofActive
	p.ConnectedSidecars, p.RecentSidecars, err = t.Sidecars(ctx, organizationID, now)
	return p, err
}

func scanAgentCounts(r row) (p store.Present, err error) {
	err = r.Scan(&p.ActiveAgents, &p.SuspendedAgents, &p.DecommissionedAgents, &p.DevelopmentAgents, &p.StagingAgents, &p.ProductionAgents)
	return p, err
}

const statCredentials = `SELECT coalesce(sum(count), 0)::bigint FROM credential_ends WHERE organization_id = $1`

func (t stats) activeCredentials(ctx context.Context, organizationID string) (int64, error) {
	return t.number(ctx, statCredentials, organizationID)
}

// past are active credentials whose end (idp.Credential.End) has come.
type past struct{ all, ofActive int64 } // the second of active agents

// The five parts share nothing: what expired in spans before that of the moment
// ($2), and in it; what has not expired but aged in spans before that in which a
// secret then has aged, and in it; and what expires later in the moment's own span
// and aged before. They look through the organization's own credentials alone: what
// others have that ends soon must neither slow it down nor show in its time.
const statEnded = `
WITH of AS MATERIALIZED (
    SELECT id, max_credential_age * 1000 AS age FROM organizations WHERE $1 = ''
    UNION ALL
    SELECT id, max_credential_age * 1000 FROM organizations WHERE id = $1
), parts (count, agent_active) AS (
    SELECT count, agent_active FROM credential_ends WHERE organization_id = $1 AND expires_span < ($2::bigint >> 26)
    UNION ALL
    SELECT 1, a.status = 'active'
    FROM of
    JOIN credentials AS c ON c.organization_id = of.id AND c.status = 'active'
        AND c.expires_at >= (($2::bigint >> 26) << 26) AND c.expires_at < $2
    JOIN agents AS a ON a.id = c.agent_id
    UNION ALL
    SELECT g.count, g.agent_active
    FROM of
    JOIN credential_ages AS g ON g.organization_id = of.id AND g.set_span < (($2::bigint - of.age) >> 26)
    WHERE of.age > 0 AND g.expires_span > ($2::bigint >> 26)
    UNION ALL
    SELECT 1, a.status = 'active'
    FROM of
    JOIN credentials AS c ON c.organization_id = of.id AND c.status = 'active' AND c.method = 'client_secret'
        AND c.secret_set_at >= ((($2::bigint - of.age) >> 26) << 26) AND c.secret_set_at < $2 - of.age
    JOIN agents AS a ON a.id = c.agent_id
    WHERE of.age > 0 AND (c.expires_at IS NULL OR c.expires_at >= $2)
    UNION ALL
    SELECT 1, a.status = 'active'
    FROM of
    JOIN credentials AS c ON c.organization_id = of.id AND c.status = 'active'
        AND c.expires_at >= $2 AND c.expires_at < ((($2::bigint >> 26) + 1) << 26)
    JOIN agents AS a ON a.id = c.agent_id
    WHERE of.age > 0 AND c.method = 'client_secret' AND c.secret_set_at < ((($2::bigint - of.age) >> 26) << 26)
)
SELECT coalesce(sum(count), 0)::bigint, coalesce(sum(count) FILTER (WHERE agent_active), 0)::bigint FROM parts`

func (t stats) ended(ctx context.Context, organizationID string, before int64) (past, error) {
	return get(ctx, t.transaction, statEnded, scanEnded, organizationID, before)
}

func scanEnded(r row) (e past, err error) {
	err = r.Scan(&e.all, &e.ofActive)
	return e, err
}

// What is counted, counted again, and what differs. A row is there once if it does.
const statMiscounted = `
WITH held AS (
    SELECT id, '' AS capability FROM agents UNION ALL SELECT agent_id, capability FROM agent_capabilities
), live AS (
    SELECT c.organization_id, c.method, c.secret_set_at >> 26 AS set_span,
        coalesce(c.expires_at, 9223372036854775807) >> 26 AS expires_span, CASE WHEN a.status = 'active' THEN 1 ELSE 0 END AS agent_active
    FROM credentials AS c JOIN agents AS a ON a.id = c.agent_id
    WHERE c.status = 'active'
), counted AS (
    SELECT a.organization_id, a.owner, h.capability, a.status, a.environment, a.agent_type, 0 AS set_span, 0 AS expires_span, 0 AS agent_active, 1 AS n
    FROM held AS h JOIN agents AS a ON a.id = h.id WHERE a.owner <> ''
    UNION ALL
    SELECT a.organization_id, '', h.capability, a.status, a.environment, a.agent_type, 0, 0, 0, 1 FROM held AS h JOIN agents AS a ON a.id = h.id
    UNION ALL
    SELECT '', '', h.capability, a.status, a.environment, a.agent_type, 0, 0, 0, 1 FROM held AS h JOIN agents AS a ON a.id = h.id
    UNION ALL
    SELECT organization_id, owner, capability, status, environment, agent_type, 0, 0, 0, -count FROM agent_counts
    UNION ALL
    SELECT organization_id, '', '', 'ends', '', '', 0, expires_span, agent_active, 1 FROM live
    UNION ALL
    SELECT '', '', '', 'ends', '', '', 0, expires_span, agent_active, 1 FROM live
    UNION ALL
    SELECT organization_id, '', '', 'ends', '', '', 0, expires_span, agent_active::integer, -count FROM credential_ends
    UNION ALL
    SELECT organization_id, '', '', 'ages', '', '', set_span, expires_span, agent_active, 1 FROM live WHERE method = 'client_secret'
    UNION ALL
    SELECT organization_id, '', '', 'ages', '', '', set_span, expires_span, agent_active::integer, -count FROM credential_ages
), wrong AS (
    SELECT sum(n) AS off FROM counted
    GROUP BY organization_id, owner, capability, status, environment, agent_type, set_span, expires_span, agent_active
    HAVING sum(n) <> 0
    UNION ALL
    SELECT 0 FROM agent_counts WHERE count = 0
    UNION ALL
    SELECT 0 FROM credential_ends WHERE count = 0
    UNION ALL
    SELECT 0 FROM credential_ages WHERE count = 0
)
SELECT count(*) FROM wrong`

func (t stats) Miscounted(ctx context.Context) (n int64, err error) {
	err = t.patient(hiddenLimit, func() error {
		n, err = t.number(ctx, statMiscounted)
		return err
	})
	return n, err
}
