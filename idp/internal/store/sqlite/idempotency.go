package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type idempotency struct{ *transaction }

const idempotencyGet = `
SELECT agent_id, path, key, body_hash, status, resource_id, created_at
FROM idempotency
WHERE agent_id = ?1 AND path = ?2 AND key = ?3`

func (t idempotency) Get(ctx context.Context, key store.IdempotencyKey) (store.IdempotencyRecord, error) {
	return get(ctx, t.transaction, idempotencyGet, scanIdempotency, key.AgentID, key.Path, key.Key)
}

func scanIdempotency(r row) (i store.IdempotencyRecord, err error) {
	var hash []byte
	err = r.Scan(&i.AgentID, &i.Path, &i.Key, &hash, &i.Status, &i.ResourceID, moment{&i.CreatedAt})
	if err == nil && copy(i.BodyHash[:], hash) != len(i.BodyHash) {
		err = fmt.Errorf("body hash of %d bytes", len(hash))
	}
	return i, err
}

const idempotencyInsert = `
INSERT INTO idempotency (agent_id, path, key, body_hash, status, resource_id, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`

func (t idempotency) Insert(ctx context.Context, r store.IdempotencyRecord) error {
	_, err := t.exec(ctx, idempotencyInsert,
		r.AgentID, r.Path, r.Key, r.BodyHash[:], r.Status, r.ResourceID, r.CreatedAt.UnixMilli())
	return err
}

const idempotencyDelete = `DELETE FROM idempotency WHERE agent_id = ?1 AND path = ?2 AND key = ?3`

func (t idempotency) Delete(ctx context.Context, key store.IdempotencyKey) error {
	_, err := t.exec(ctx, idempotencyDelete, key.AgentID, key.Path, key.Key)
	return err
}

const idempotencyPrune = `
DELETE FROM idempotency
WHERE (agent_id, path, key) IN (SELECT agent_id, path, key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)`

func (t idempotency) Prune(ctx context.Context, before time.Time) (more bool, err error) {
	removed, err := t.exec(ctx, idempotencyPrune, before.UnixMilli(), store.PruneBatch)
	return removed == store.PruneBatch, err
}
