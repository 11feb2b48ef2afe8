package storetest

import (
	"context"
	"strconv"
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
		pruneAll(t, b.DB, func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.Idempotency.Prune(ctx, noon) })
		require.Equal(t, kept, getRecord(t, b.DB, kept.IdempotencyKey))
		insertRecords(t, b.DB, old)
	}},
	{"prune removes a bounded batch", func(t *testing.T, b Backend) {
		var all []store.IdempotencyRecord
		for n := range store.PruneBatch + 1 {
			all = append(all, record(strconv.Itoa(n)))
			all[n].CreatedAt = noon.Add(-time.Duration(n) * time.Second)
		}
		insertRecords(t, b.DB, all...)
		batch := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return tx.Idempotency.Prune(ctx, noon.Add(time.Second))
		}
		require.True(t, pruneOnce(t, b.DB, batch))
		require.Equal(t, all[0], getRecord(t, b.DB, all[0].IdempotencyKey), "the oldest go first")
		require.False(t, pruneOnce(t, b.DB, batch))
		insertRecords(t, b.DB, all...)
	}},
	{"delete forgets exactly that key, if there is one", func(t *testing.T, b Backend) {
		insertRecords(t, b.DB, record("one"), record("two"))
		for range 2 {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
				return tx.Idempotency.Delete(ctx, record("one").IdempotencyKey)
			})
		}
		insertRecords(t, b.DB, record("one"))
		require.Equal(t, record("two"), getRecord(t, b.DB, record("two").IdempotencyKey))
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
