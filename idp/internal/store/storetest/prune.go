package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

func pruneAll(t *testing.T, db store.DB, batch func(context.Context, *store.Tx) (bool, error)) {
	t.Helper()
	require.NoError(t, store.PruneAll(t.Context(), db, batch))
}

// pruneOnce runs one batch and returns whether there may be more.
func pruneOnce(t *testing.T, db store.DB, batch func(context.Context, *store.Tx) (bool, error)) (more bool) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		more, err = batch(ctx, tx)
		return err
	})
	return more
}
