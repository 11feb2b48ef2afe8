package registry

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// keyLife is how long an Idempotency-Key is remembered.
const keyLife = 24 * time.Hour

func (a *Actor) key() store.IdempotencyKey {
	return store.IdempotencyKey{AgentID: a.AgentID, Path: a.Idempotency.Path, Key: a.Idempotency.Key}
}

// Replayed finds the resource that an earlier POST with the actor's key made;
// "" when this is the first. The same key with another body is refused.
func (a *Actor) Replayed(ctx context.Context, tx *store.Tx, now time.Time) (resourceID string, err error) {
	if a.Idempotency == nil {
		return "", nil
	}
	record, err := tx.Idempotency.Get(ctx, a.key())
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case record.CreatedAt.Before(now.Add(-keyLife)):
		return "", nil
	case record.BodyHash != a.Idempotency.BodyHash:
		return "", apierr.New(apierr.IdempotencyKeyReused, "the Idempotency-Key was used with another body").
			WithReason("idempotency_key_reused")
	}
	return record.ResourceID, nil
}

// Remember keeps the POST in the transaction that makes the resource.
func (a *Actor) Remember(ctx context.Context, tx *store.Tx, status int, resourceID string, now time.Time) error {
	if a.Idempotency == nil {
		return nil
	}
	// Replayed saw no live record; one past its 24 hours may still be in the way.
	if err := tx.Idempotency.Delete(ctx, a.key()); err != nil {
		return err
	}
	return tx.Idempotency.Insert(ctx, store.IdempotencyRecord{
		IdempotencyKey: a.key(), BodyHash: a.Idempotency.BodyHash,
		Status: status, ResourceID: resourceID, CreatedAt: now,
	})
}

// replaySecret refuses a repeated POST whose answer carried a secret.
func (a *Actor) replaySecret(ctx context.Context, tx *store.Tx, now time.Time) error {
	credentialID, err := a.Replayed(ctx, tx, now)
	if err != nil || credentialID == "" {
		return err
	}
	return apierr.New(apierr.InvalidState, "this request was answered before and its secret is never shown again; rotate credential %s if it was lost", credentialID).
		WithReason("secret_not_replayed").WithDetail("credentialId", credentialID)
}
