package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var keyFacts = []fact{
	{"list returns the keys of a use, oldest first", func(t *testing.T, b Backend) {
		young, old, tied := key("young"), key("old"), key("Tied")
		old.CreatedAt = zoned.Add(-time.Hour)
		old.Status, old.ActivatedAt, old.RetiredAt = store.KeyRetired, zoned, zoned.Add(time.Minute)
		notes := key("notes")
		notes.Use = store.UseCheckpoint
		for _, k := range []store.Key{young, old, tied, notes} {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, k) })
		}
		old.CreatedAt, old.ActivatedAt, old.RetiredAt = noon.Add(-time.Hour), noon, noon.Add(time.Minute)
		require.Equal(t, []store.Key{old, tied, young}, listKeys(t, b.DB, store.UseToken))
		require.Equal(t, []store.Key{notes}, listKeys(t, b.DB, store.UseCheckpoint))
		require.Empty(t, listKeys(t, b.DB, "none"))
	}},
	{"an id is taken once, whatever the use", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, key("one")) })
		again := key("one")
		again.Use = store.UseCheckpoint
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, again) })
	}},
	{"a status is stamped", func(t *testing.T, b Backend) {
		want := key("one")
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, want) })
		for i, status := range []store.KeyStatus{store.KeyActive, store.KeyRetired, store.KeyRevoked} {
			at := zoned.Add(time.Duration(i) * time.Hour)
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.SetStatus(ctx, "one", status, at) })
			want.Status = status
			if status == store.KeyActive {
				want.ActivatedAt = noon
			} else {
				want.RetiredAt = noon.Add(time.Duration(i) * time.Hour)
			}
			require.Equal(t, []store.Key{want}, listKeys(t, b.DB, store.UseToken))
		}
		refuse(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) error {
			return tx.Keys.SetStatus(ctx, "none", store.KeyActive, noon)
		})
	}},
	{"a key is scheduled, and forgotten whole", func(t *testing.T, b Backend) {
		want, other := key("one"), key("two")
		want.ActivateAt = zoned
		for _, k := range []store.Key{want, other} {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, k) })
		}
		want.ActivateAt = noon
		require.Equal(t, []store.Key{want, other}, listKeys(t, b.DB, store.UseToken))
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			return tx.Keys.Schedule(ctx, "one", zoned.Add(time.Hour))
		})
		want.ActivateAt = noon.Add(time.Hour)
		require.Equal(t, []store.Key{want, other}, listKeys(t, b.DB, store.UseToken))
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Delete(ctx, "one") })
		require.Equal(t, []store.Key{other}, listKeys(t, b.DB, store.UseToken))
		for _, absent := range []work{
			func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Schedule(ctx, "one", noon) },
			func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Delete(ctx, "one") },
		} {
			refuse(t, b.DB, idp.ErrNotFound, absent)
		}
	}},
}

func key(id string) store.Key {
	return store.Key{ID: id, Use: store.UseToken, Status: store.KeyNext, Public: []byte{0x30, 0, 0xff}, Sealed: []byte("sealed " + id), CreatedAt: noon}
}

func listKeys(t *testing.T, db store.DB, use store.KeyUse) []store.Key {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([]store.Key, error) { return tx.Keys.List(ctx, use) })
}
