package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type sidecars struct{ *transaction }

func scanSidecar(r row) (s store.Sidecar, err error) {
	err = r.Scan(&s.ID, &s.AgentID, &s.OrganizationID, &s.Version, &s.PolicyRevision, &s.FeedCursor,
		&s.NextSequence, &s.LastHash, moment{&s.LastDecisionAt}, moment{&s.SeenAt})
	return s, err
}

const sidecarGet = `
SELECT id, agent_id, organization_id, version, policy_revision, feed_cursor,
    next_sequence, last_hash, last_decision_at, seen_at
FROM sidecars
WHERE agent_id = $1 AND id = $2`

func (t sidecars) Get(ctx context.Context, agentID, id string) (store.Sidecar, error) {
	return get(ctx, t.transaction, sidecarGet, scanSidecar, agentID, id)
}

const sidecarPut = `
INSERT INTO sidecars (id, agent_id, organization_id, version, policy_revision, feed_cursor,
    next_sequence, last_hash, last_decision_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (agent_id, id) DO UPDATE
SET organization_id = excluded.organization_id, version = excluded.version,
    policy_revision = excluded.policy_revision, feed_cursor = excluded.feed_cursor,
    next_sequence = excluded.next_sequence, last_hash = excluded.last_hash,
    last_decision_at = excluded.last_decision_at, seen_at = excluded.seen_at`

func (t sidecars) Put(ctx context.Context, s store.Sidecar) error {
	_, err := t.exec(ctx, sidecarPut, s.ID, s.AgentID, s.OrganizationID, s.Version, s.PolicyRevision, s.FeedCursor,
		s.NextSequence, s.LastHash, optional(s.LastDecisionAt), s.SeenAt.UnixMilli())
	return err
}

const sidecarPage = `
SELECT id, agent_id, organization_id, version, policy_revision, feed_cursor,
    next_sequence, last_hash, last_decision_at, seen_at
FROM sidecars
WHERE $1 = '' OR organization_id = $1
ORDER BY seen_at DESC, agent_id, id
LIMIT $2 OFFSET $3`

const sidecarCount = `SELECT count(*) FROM sidecars WHERE $1 = '' OR organization_id = $1`

func (t sidecars) List(ctx context.Context, organizationID string, page store.Page) ([]store.Sidecar, int, error) {
	total, err := t.number(ctx, sidecarCount, organizationID)
	if err != nil {
		return nil, 0, err
	}
	found, err := list(ctx, t.transaction, sidecarPage, scanSidecar, organizationID, page.Limit, page.Offset())
	return found, int(total), err
}
