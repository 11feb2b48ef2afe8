package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Parameters: $1 organization, $2 to $4 status, type and environment, $5 limit,
// $6 offset, $7 and $8 the key and the id that the list goes on after. Of each
// status, environment and type that there are, the first are read; none of the others.

const agentMerge = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ANY (ARRAY(
    SELECT found.id
    FROM agent_counts AS k
    CROSS JOIN LATERAL (
        SELECT b.id, b.created_at FROM agents AS b
        WHERE b.organization_id = $1 AND b.status = k.status AND b.environment = k.environment AND b.agent_type = k.agent_type
            AND b.created_at <= $7 AND (b.created_at < $7 OR b.id > $8)
        ORDER BY b.created_at DESC, b.id LIMIT $5::bigint + $6::bigint) AS found
    WHERE k.organization_id = $1 AND k.owner = '' AND k.capability = ''
        AND ($2 = k.status OR $2 = '' AND k.status <> 'decommissioned')
        AND ($3 = '' OR k.agent_type = $3)
        AND ($4 = '' OR k.environment = $4)
    ORDER BY found.created_at DESC, found.id LIMIT $5 OFFSET $6))
ORDER BY created_at DESC, id`

const agentMergeOldest = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ANY (ARRAY(
    SELECT found.id
    FROM agent_counts AS k
    CROSS JOIN LATERAL (
        SELECT b.id, b.created_at FROM agents AS b
        WHERE b.organization_id = $1 AND b.status = k.status AND b.environment = k.environment AND b.agent_type = k.agent_type
            AND b.created_at >= $7 AND (b.created_at > $7 OR b.id < $8)
        ORDER BY b.created_at, b.id DESC LIMIT $5::bigint + $6::bigint) AS found
    WHERE k.organization_id = $1 AND k.owner = '' AND k.capability = ''
        AND ($2 = k.status OR $2 = '' AND k.status <> 'decommissioned')
        AND ($3 = '' OR k.agent_type = $3)
        AND ($4 = '' OR k.environment = $4)
    ORDER BY found.created_at, found.id DESC LIMIT $5 OFFSET $6))
ORDER BY created_at, id DESC`

const agentMergeEmail = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ANY (ARRAY(
    SELECT found.id
    FROM agent_counts AS k
    CROSS JOIN LATERAL (
        SELECT b.id, b.email FROM agents AS b
        WHERE b.organization_id = $1 AND b.status = k.status AND b.environment = k.environment AND b.agent_type = k.agent_type
            AND b.email >= $7 AND (b.email > $7 OR b.id > $8)
        ORDER BY b.email, b.id LIMIT $5::bigint + $6::bigint) AS found
    WHERE k.organization_id = $1 AND k.owner = '' AND k.capability = ''
        AND ($2 = k.status OR $2 = '' AND k.status <> 'decommissioned')
        AND ($3 = '' OR k.agent_type = $3)
        AND ($4 = '' OR k.environment = $4)
    ORDER BY found.email, found.id LIMIT $5 OFFSET $6))
ORDER BY email, id`

const agentMergeEmailDown = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ANY (ARRAY(
    SELECT found.id
    FROM agent_counts AS k
    CROSS JOIN LATERAL (
        SELECT b.id, b.email FROM agents AS b
        WHERE b.organization_id = $1 AND b.status = k.status AND b.environment = k.environment AND b.agent_type = k.agent_type
            AND b.email <= $7 AND (b.email < $7 OR b.id < $8)
        ORDER BY b.email DESC, b.id DESC LIMIT $5::bigint + $6::bigint) AS found
    WHERE k.organization_id = $1 AND k.owner = '' AND k.capability = ''
        AND ($2 = k.status OR $2 = '' AND k.status <> 'decommissioned')
        AND ($3 = '' OR k.agent_type = $3)
        AND ($4 = '' OR k.environment = $4)
    ORDER BY found.email DESC, found.id DESC LIMIT $5 OFFSET $6))
ORDER BY email DESC, id DESC`

func (t agents) merge(ctx context.Context, sort store.AgentSort, args ...any) ([]idp.Agent, error) {
	query := agentMerge
	switch sort {
	case store.NewestAgents:
	case store.OldestAgents:
		query = agentMergeOldest
	case store.AgentsByEmail:
		query = agentMergeEmail
	case store.AgentsByEmailDown:
		query = agentMergeEmailDown
	}
	return list(ctx, t.transaction, query, scanAgent, args...)
}
