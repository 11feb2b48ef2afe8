package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type sidecars struct{ *transaction }

func scanSidecar(r row) (s store.Sidecar, err error) {
	err = r.Scan(&s.ID, &s.AgentID, &s.OrganizationID, &s.Version, &s.PolicyRevision, &s.FeedCursor,
		&s.NextSequence, &s.LastHash, moment{&s.LastDecisionAt}, moment{&s.SeenAt}, &s.Name, moment{&s.FeedCursorAt})
	return s, err
}

const sidecarGet = `
SELECT id, agent_id, organization_id, version, policy_revision, feed_cursor,
    next_sequence, last_hash, last_decision_at, seen_at, name, feed_cursor_at
FROM sidecars
WHERE agent_id = $1 AND id = $2`

func (t sidecars) Get(ctx context.Context, agentID, id string) (store.Sidecar, error) {
	return get(ctx, t.transaction, sidecarGet, scanSidecar, agentID, id)
}

const sidecarUpdate = `
UPDATE sidecars
SET organization_id = $3, version = $4, policy_revision = $5, feed_cursor = $6,
    next_sequence = $7, last_hash = $8, last_decision_at = $9, seen_at = $10, name = $11, feed_cursor_at = $12
WHERE agent_id = $2 AND id = $1`

const sidecarInsert = `
INSERT INTO sidecars (id, agent_id, organization_id, version, policy_revision, feed_cursor,
    next_sequence, last_hash, last_decision_at, seen_at, name, feed_cursor_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

func (t sidecars) Put(ctx context.Context, s store.Sidecar) error {
	values := []any{s.ID, s.AgentID, s.OrganizationID, s.Version, s.PolicyRevision, s.FeedCursor,
		s.NextSequence, s.LastHash, optional(s.LastDecisionAt), s.SeenAt.UnixMilli(), s.Name, optional(s.FeedCursorAt)}
	known, err := t.exec(ctx, sidecarUpdate, values...)
	if err != nil || known == 1 {
		return err
	}
	if err := t.makeRoom(ctx, s.AgentID); err != nil {
		return err
	}
	_, err = t.exec(ctx, sidecarInsert, values...)
	return err
}

const sidecarMakeRoom = `
DELETE FROM sidecars
WHERE agent_id = $1 AND id IN (SELECT id FROM sidecars WHERE agent_id = $1 ORDER BY seen_at DESC, id OFFSET $2)`

// makeRoom leaves one row less than an agent may have.
func (t sidecars) makeRoom(ctx context.Context, agentID string) error {
	_, err := t.exec(ctx, sidecarMakeRoom, agentID, store.MaxSidecars-1)
	return err
}

const sidecarPage = `
SELECT id, agent_id, organization_id, version, policy_revision, feed_cursor,
    next_sequence, last_hash, last_decision_at, seen_at, name, feed_cursor_at
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
