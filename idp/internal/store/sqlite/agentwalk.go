package sqlite

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// A page of agents of one owner or with one capability, or far behind, in the
// order of an index: whatever does not match is read over.
//
// Parameters of the lists: ?1 organization, ?2 to ?6 the filter, ?7 limit, ?8
// offset, ?9 and ?10 the key and the id that the list goes on after.

const agentPage = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = ?1
    AND created_at <= ?9 AND (created_at < ?9 OR id > ?10)
    AND (?2 = status OR ?2 = '' AND status <> 'decommissioned')
    AND (?3 = '' OR owner = ?3)
    AND (?4 = '' OR agent_type = ?4)
    AND (?5 = '' OR environment = ?5)
    AND (?6 = '' OR (SELECT true FROM agent_capabilities AS h WHERE h.agent_id = agents.id AND h.capability = ?6))
ORDER BY created_at DESC, id
LIMIT ?7 OFFSET ?8`

const agentPageOldest = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = ?1
    AND created_at >= ?9 AND (created_at > ?9 OR id < ?10)
    AND (?2 = status OR ?2 = '' AND status <> 'decommissioned')
    AND (?3 = '' OR owner = ?3)
    AND (?4 = '' OR agent_type = ?4)
    AND (?5 = '' OR environment = ?5)
    AND (?6 = '' OR (SELECT true FROM agent_capabilities AS h WHERE h.agent_id = agents.id AND h.capability = ?6))
ORDER BY created_at, id DESC
LIMIT ?7 OFFSET ?8`

const agentPageEmail = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = ?1
    AND email >= ?9 AND (email > ?9 OR id > ?10)
    AND (?2 = status OR ?2 = '' AND status <> 'decommissioned')
    AND (?3 = '' OR owner = ?3)
    AND (?4 = '' OR agent_type = ?4)
    AND (?5 = '' OR environment = ?5)
    AND (?6 = '' OR (SELECT true FROM agent_capabilities AS h WHERE h.agent_id = agents.id AND h.capability = ?6))
ORDER BY email, id
LIMIT ?7 OFFSET ?8`

const agentPageEmailDown = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = ?1
    AND email <= ?9 AND (email < ?9 OR id < ?10)
    AND (?2 = status OR ?2 = '' AND status <> 'decommissioned')
    AND (?3 = '' OR owner = ?3)
    AND (?4 = '' OR agent_type = ?4)
    AND (?5 = '' OR environment = ?5)
    AND (?6 = '' OR (SELECT true FROM agent_capabilities AS h WHERE h.agent_id = agents.id AND h.capability = ?6))
ORDER BY email DESC, id DESC
LIMIT ?7 OFFSET ?8`

func (t agents) walk(ctx context.Context, sort store.AgentSort, args ...any) ([]idp.Agent, error) {
	query := agentPage
	switch sort {
	case store.NewestAgents:
	case store.OldestAgents:
		query = agentPageOldest
	case store.AgentsByEmail:
		query = agentPageEmail
	case store.AgentsByEmailDown:
		query = agentPageEmailDown
	}
	return list(ctx, t.transaction, query, scanAgent, args...)
}
