package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Parameters of the lists: $1 organization, $2 to $6 the filter, $7 limit, $8
// offset, $9 and $10 the key and the id that the list goes on after.

const agentPage = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = $1
    AND created_at <= $9 AND (created_at < $9 OR id > $10)
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))
ORDER BY created_at DESC, id
LIMIT $7 OFFSET $8`

const agentPageOldest = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = $1
    AND created_at >= $9 AND (created_at > $9 OR id < $10)
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))
ORDER BY created_at, id DESC
LIMIT $7 OFFSET $8`

const agentPageEmail = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = $1
    AND email >= $9 AND (email > $9 OR id > $10)
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))
ORDER BY email, id
LIMIT $7 OFFSET $8`

const agentPageEmailDown = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE organization_id = $1
    AND email <= $9 AND (email < $9 OR id < $10)
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))
ORDER BY email DESC, id DESC
LIMIT $7 OFFSET $8`

const agentCount = `
SELECT count(*)
FROM agents
WHERE organization_id = $1
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))`

// The same over all organizations: no index leads with the time alone, so these sort.
const agentPageAll = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE $1 = ''
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))
ORDER BY created_at DESC, id
LIMIT $7 OFFSET $8`

const agentCountAll = `
SELECT count(*)
FROM agents
WHERE $1 = ''
    AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
    AND ($3 = '' OR owner = $3)
    AND ($4 = '' OR agent_type = $4)
    AND ($5 = '' OR environment = $5)
    AND ($6 = '' OR id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))`

func (t agents) List(ctx context.Context, f store.AgentFilter, order store.AgentOrder, page store.Page) (store.AgentList, error) {
	filter := []any{f.OrganizationID, f.Status, f.Owner, f.Type, f.Environment, f.Capability}
	if f.Prefix != "" {
		return t.search(ctx, f.Prefix, order, page, filter)
	}
	pageQuery, countQuery := agentPage, agentCount
	switch order.Sort {
	case store.NewestAgents:
	case store.OldestAgents:
		pageQuery = agentPageOldest
	case store.AgentsByEmail:
		pageQuery = agentPageEmail
	case store.AgentsByEmailDown:
		pageQuery = agentPageEmailDown
	}
	key, id := order.Start()
	span := append(filter[:len(filter):len(filter)], page.Limit+1, page.Offset(), key, id)
	if f.OrganizationID == store.AnyOrganization {
		pageQuery, countQuery, span = agentPageAll, agentCountAll, span[:8]
	}
	total, err := t.number(ctx, countQuery, filter...)
	if err != nil {
		return store.AgentList{}, err
	}
	found, err := list(ctx, t.transaction, pageQuery, scanAgent, span...)
	more := len(found) > page.Limit
	return store.AgentList{Agents: found[:min(len(found), page.Limit)], Total: int(total), More: more}, err
}

// $7 to $8: the texts with the prefix; $9: how many of each are looked at.
const agentsMatching = `
SELECT m.source, a.id, a.created_at, a.email, ($2 = a.status OR $2 = '' AND a.status <> 'decommissioned')
        AND ($3 = '' OR a.owner = $3)
        AND ($4 = '' OR a.agent_type = $4)
        AND ($5 = '' OR a.environment = $5)
        AND ($6 = '' OR a.id IN (SELECT agent_id FROM agent_capabilities WHERE capability = $6))
FROM (
    SELECT * FROM (
        SELECT 1 AS source, id FROM agents
        WHERE organization_id = $1 AND email >= $7 AND email < $8
        ORDER BY organization_id, email, id LIMIT $9) AS by_email
    UNION ALL
    SELECT * FROM (
        SELECT 2, id FROM agents
        WHERE organization_id = $1 AND id >= $7 AND id < $8
        ORDER BY organization_id, id LIMIT $9) AS by_id
    UNION ALL
    SELECT * FROM (
        SELECT 3, id FROM agents
        WHERE organization_id = $1 AND lower(owner) >= $7 AND lower(owner) < $8
        ORDER BY organization_id, lower(owner), id LIMIT $9) AS by_owner) AS m
CROSS JOIN agents AS a
WHERE a.id = m.id`

const agentsNamed = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ANY ($1)`

// search sorts what begins with the prefix itself: it is little.
func (t agents) search(ctx context.Context, prefix string, order store.AgentOrder, page store.Page, filter []any) (store.AgentList, error) {
	matches, err := list(ctx, t.transaction, agentsMatching, scanMatch, append(filter, prefix, prefix+store.LastText, store.MaxPrefixMatches+1)...)
	if err != nil {
		return store.AgentList{}, err
	}
	ids, found := order.Cut(matches, page)
	agents, err := list(ctx, t.transaction, agentsNamed, scanAgent, ids)
	found.Agents = store.InOrder(agents, ids)
	return found, err
}

func scanMatch(r row) (m store.AgentMatch, err error) {
	err = r.Scan(&m.Source, &m.ID, moment{&m.CreatedAt}, &m.Email, &m.Matches)
	return m, err
}
