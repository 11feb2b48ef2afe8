package sqlite

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

type assertions struct{ *transaction }

const assertionUse = `INSERT INTO assertions (client_id, jti, expires_at) VALUES (?1, ?2, ?3)`

func (t assertions) Use(ctx context.Context, clientID, jti string, expires time.Time) error {
	_, err := t.exec(ctx, assertionUse, clientID, jti, expires.UnixMilli())
	return err
}

const assertionPrune = `
DELETE FROM assertions
WHERE (client_id, jti) IN (SELECT client_id, jti FROM assertions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)`

func (t assertions) Prune(ctx context.Context, now time.Time) (more bool, err error) {
	removed, err := t.exec(ctx, assertionPrune, now.UnixMilli(), store.PruneBatch)
	return removed == store.PruneBatch, err
}
