package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var settingFacts = []fact{
	{"the first value stays", func(t *testing.T, b Backend) {
		require.Equal(t, "first", putSetting(t, b.DB, "name", "first"))
		require.Equal(t, "first", putSetting(t, b.DB, "name", "second"))
		require.Equal(t, "second", putSetting(t, b.DB, "NAME", "second"))
		require.Equal(t, "first", getSetting(t, b.DB, "name"))
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (string, error) { return tx.Settings.Get(ctx, "none") })
	}},
	{"a value is replaced where that is asked for", func(t *testing.T, b Backend) {
		for _, value := range []string{"first", "second"} {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Settings.Put(ctx, "name", value) })
			require.Equal(t, value, getSetting(t, b.DB, "name"))
		}
		require.Equal(t, "second", putSetting(t, b.DB, "name", "third"))
	}},
	{"an empty value is a value", func(t *testing.T, b Backend) {
		require.Empty(t, putSetting(t, b.DB, "name", ""))
		require.Empty(t, putSetting(t, b.DB, "name", "late"))
		require.Empty(t, getSetting(t, b.DB, "name"))
	}},
	{"of many who put at once one wins and all learn it", func(t *testing.T, b Backend) {
		answers := make([]string, 8)
		var callers sync.WaitGroup
		for i := range answers {
			callers.Go(func() {
				err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
					answers[i], err = tx.Settings.PutIfAbsent(ctx, "epoch", fmt.Sprint(i))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		winner := getSetting(t, b.DB, "epoch")
		for _, answer := range answers {
			require.Equal(t, winner, answer)
		}
	}},
}

func putSetting(t *testing.T, db store.DB, name, value string) string {
	t.Helper()
	var stored string
	update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		stored, err = tx.Settings.PutIfAbsent(ctx, name, value)
		return err
	})
	return stored
}

func getSetting(t *testing.T, db store.DB, name string) string {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (string, error) { return tx.Settings.Get(ctx, name) })
}
