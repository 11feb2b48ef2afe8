package sqlite

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type keys struct{ *transaction }

func scanKey(r row) (k store.Key, err error) {
	err = r.Scan(&k.ID, &k.Use, &k.Status, &k.Public, &k.Sealed, moment{&k.CreatedAt}, moment{&k.ActivateAt}, moment{&k.ActivatedAt}, moment{&k.RetiredAt})
	return k, err
}

const keyList = `
SELECT id, use, status, public, sealed, created_at, activate_at, activated_at, retired_at
FROM keys
WHERE use = ?1
ORDER BY created_at, id`

func (t keys) List(ctx context.Context, use store.KeyUse) ([]store.Key, error) {
	return list(ctx, t.transaction, keyList, scanKey, use)
}

const keyInsert = `
INSERT INTO keys (id, use, status, public, sealed, created_at, activate_at, activated_at, retired_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`

func (t keys) Insert(ctx context.Context, k store.Key) error {
	t.announce = true
	_, err := t.exec(ctx, keyInsert, k.ID, k.Use, k.Status, k.Public, k.Sealed,
		k.CreatedAt.UnixMilli(), optional(k.ActivateAt), optional(k.ActivatedAt), optional(k.RetiredAt))
	return err
}

const keySetStatus = `
UPDATE keys
SET status = ?2,
    activated_at = CASE WHEN ?2 = 'active' THEN ?3 ELSE activated_at END,
    retired_at = CASE WHEN ?2 IN ('retired', 'revoked') THEN ?3 ELSE retired_at END
WHERE id = ?1`

func (t keys) SetStatus(ctx context.Context, id string, status store.KeyStatus, at time.Time) error {
	t.announce = true
	return t.touch(ctx, keySetStatus, id, status, at.UnixMilli())
}

const keySchedule = `UPDATE keys SET activate_at = ?2 WHERE id = ?1`

func (t keys) Schedule(ctx context.Context, id string, at time.Time) error {
	t.announce = true
	return t.touch(ctx, keySchedule, id, at.UnixMilli())
}

const keyDelete = `DELETE FROM keys WHERE id = ?1`

func (t keys) Delete(ctx context.Context, id string) error {
	t.announce = true
	return t.touch(ctx, keyDelete, id)
}
