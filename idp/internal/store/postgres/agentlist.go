package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The totals of agents: that match; of the owner; of everybody's that hold the capability.
const agentTotals = `
SELECT (
    SELECT coalesce(sum(count), 0)::bigint FROM agent_counts
    WHERE organization_id = $1 AND owner = $3 AND capability = $6
        AND ($2 = status OR $2 = '' AND status <> 'decommissioned')
        AND ($4 = '' OR agent_type = $4)
        AND ($5 = '' OR environment = $5)), (
    SELECT coalesce(sum(count), 0)::bigint FROM agent_counts WHERE organization_id = $1 AND owner = $3 AND capability = ''), (
    SELECT coalesce(sum(count), 0)::bigint FROM agent_counts WHERE organization_id = '' AND owner = '' AND capability = $6)`

func (t agents) List(ctx context.Context, f store.AgentFilter, order store.AgentOrder, page store.Page) (store.AgentList, error) {
	filter := []any{f.OrganizationID, f.Status, f.Owner, f.Type, f.Environment, f.Capability}
	switch {
	case f.Prefix != "":
		return t.search(ctx, f.Prefix, order, page, filter)
	case f.OrganizationID == store.AnyOrganization:
		return t.listAll(ctx, page, filter)
	}
	totals, err := get(ctx, t.transaction, agentTotals, scanTotals, filter...)
	if err != nil {
		return store.AgentList{}, err
	}
	key, id := order.Start()
	var found []idp.Agent
	switch totals.Way(f, page) {
	case store.NoAgents:
	case store.MergeAgents:
		found, err = t.merge(ctx, order.Sort, f.OrganizationID, f.Status, f.Type, f.Environment, page.Limit+1, page.Offset(), key, id)
	case store.AgentsByOwner:
		return t.ofOwner(ctx, order, page, filter)
	case store.AgentsByCapability:
		return t.holding(ctx, order, page, filter)
	case store.WalkAgents:
		found, err = t.walk(ctx, order.Sort, append(filter, page.Limit+1, page.Offset(), key, id)...)
	}
	more := len(found) > page.Limit
	return store.AgentList{Agents: found[:min(len(found), page.Limit)], Total: int(totals.Matching), More: more}, err
}

func scanTotals(r row) (n store.AgentTotals, err error) {
	err = r.Scan(&n.Matching, &n.OfOwner, &n.Holding)
	return n, err
}

// Over all organizations; $7 limit, $8 offset: no index leads with the time alone, so these sort.
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

func (t agents) listAll(ctx context.Context, page store.Page, filter []any) (store.AgentList, error) {
	total, err := t.number(ctx, agentCountAll, filter...)
	if err != nil {
		return store.AgentList{}, err
	}
	found, err := list(ctx, t.transaction, agentPageAll, scanAgent, append(filter, page.Limit+1, page.Offset())...)
	more := len(found) > page.Limit
	return store.AgentList{Agents: found[:min(len(found), page.Limit)], Total: int(total), More: more}, err
}

// $7 to $8: the texts with the prefix; $9: how many of each are looked at.
const agentsMatching = `
SELECT m.source, a.id, a.created_at, a.email, ($2 = a.status OR $2 = '' AND a.status <> 'decommissioned')
        AND ($3 = '' OR a.owner = $3)
        AND ($4 = '' OR a.agent_type = $4)
        AND ($5 = '' OR a.environment = $5)
        AND ($6 = '' OR (SELECT true FROM agent_capabilities AS h WHERE h.agent_id = a.id AND h.capability = $6) IS NOT NULL)
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

// search finds what begins with the prefix.
func (t agents) search(ctx context.Context, prefix string, order store.AgentOrder, page store.Page, filter []any) (store.AgentList, error) {
	matches, err := list(ctx, t.transaction, agentsMatching, scanMatch, append(filter, prefix, prefix+store.LastText, store.MaxPrefixMatches+1)...)
	if err != nil {
		return store.AgentList{}, err
	}
	return t.cut(ctx, matches, order, page)
}

const agentsOfOwner = `
SELECT 0, a.id, a.created_at, a.email, ($2 = a.status OR $2 = '' AND a.status <> 'decommissioned')
        AND ($3 = '' OR a.owner = $3)
        AND ($4 = '' OR a.agent_type = $4)
        AND ($5 = '' OR a.environment = $5)
        AND ($6 = '' OR (SELECT true FROM agent_capabilities AS held WHERE held.agent_id = a.id AND held.capability = $6) IS NOT NULL)
FROM agents AS a
WHERE a.organization_id = $1 AND lower(a.owner) = lower($3::text COLLATE "C") AND a.owner = $3`

func (t agents) ofOwner(ctx context.Context, order store.AgentOrder, page store.Page, filter []any) (store.AgentList, error) {
	matches, err := list(ctx, t.transaction, agentsOfOwner, scanMatch, filter...)
	if err != nil {
		return store.AgentList{}, err
	}
	return t.cut(ctx, matches, order, page)
}

// OFFSET 0 keeps the planner from joining in another way.
const agentsHolding = `
SELECT 0, a.id, a.created_at, a.email, ($2 = a.status OR $2 = '' AND a.status <> 'decommissioned')
        AND ($3 = '' OR a.owner = $3)
        AND ($4 = '' OR a.agent_type = $4)
        AND ($5 = '' OR a.environment = $5)
        AND ($6 = '' OR (SELECT true FROM agent_capabilities AS held WHERE held.agent_id = a.id AND held.capability = $6) IS NOT NULL)
FROM (SELECT agent_id FROM agent_capabilities WHERE capability = $6 OFFSET 0) AS h
CROSS JOIN LATERAL (SELECT * FROM agents WHERE id = h.agent_id OFFSET 0) AS a
WHERE a.organization_id = $1`

func (t agents) holding(ctx context.Context, order store.AgentOrder, page store.Page, filter []any) (store.AgentList, error) {
	matches, err := list(ctx, t.transaction, agentsHolding, scanMatch, filter...)
	if err != nil {
		return store.AgentList{}, err
	}
	return t.cut(ctx, matches, order, page)
}

const agentsNamed = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ANY ($1)`

// cut sorts what was found and reads the page: it is little.
func (t agents) cut(ctx context.Context, matches []store.AgentMatch, order store.AgentOrder, page store.Page) (store.AgentList, error) {
	ids, found := order.Cut(matches, page)
	agents, err := list(ctx, t.transaction, agentsNamed, scanAgent, ids)
	found.Agents = store.InOrder(agents, ids)
	return found, err
}

func scanMatch(r row) (m store.AgentMatch, err error) {
	err = r.Scan(&m.Source, &m.ID, moment{&m.CreatedAt}, &m.Email, &m.Matches)
	return m, err
}
