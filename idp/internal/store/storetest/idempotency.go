package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var idempotencyFacts = []fact{
	{"get returns what was inserted under exactly that key", func(t *testing.T, b Backend) {
		want := record("key")
		want.CreatedAt = zoned
		insertRecords(t, b.DB, want)
		want.CreatedAt = noon
		require.Equal(t, want, getRecord(t, b.DB, want.IdempotencyKey))
		for _, other := range []store.IdempotencyKey{
			{AgentID: "other", Path: want.Path, Key: want.Key}, {AgentID: want.AgentID, Path: "/other", Key: want.Key}, {AgentID: want.AgentID, Path: want.Path, Key: "KEY"},
		} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.IdempotencyRecord, error) {
				return tx.Idempotency.Get(ctx, other)
			})
		}
	}},
	{"a key is taken once", func(t *testing.T, b Backend) {
		insertRecords(t, b.DB, record("key"))
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Idempotency.Insert(ctx, record("key")) })
	}},
	{"prune removes what is older and frees its key", func(t *testing.T, b Backend) {
		old, kept := record("old"), record("kept")
		old.CreatedAt = noon.Add(-time.Millisecond)
		insertRecords(t, b.DB, old, kept)
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Idempotency.Prune(ctx, noon) })
		require.Equal(t, kept, getRecord(t, b.DB, kept.IdempotencyKey))
		insertRecords(t, b.DB, old)
	}},
}

func record(key string) store.IdempotencyRecord {
	return store.IdempotencyRecord{
		IdempotencyKey: store.IdempotencyKey{AgentID: "agent", Path: "/api/v1/agents", Key: key},
		BodyHash:       [32]byte{0, 1, 2, 0xff, 31: 7}, Status: 201, ResourceID: "resource", CreatedAt: noon,
	}
}

func insertRecords(t *testing.T, db store.DB, all ...store.IdempotencyRecord) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, r := range all {
			if err := tx.Idempotency.Insert(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func getRecord(t *testing.T, db store.DB, key store.IdempotencyKey) store.IdempotencyRecord {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (store.IdempotencyRecord, error) {
		return tx.Idempotency.Get(ctx, key)
	})
}
