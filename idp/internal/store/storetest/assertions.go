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

func use(clientID, jti string, expires time.Time) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.Assertions.Use(ctx, clientID, jti, expires) }
}

var assertionFacts = []fact{
	{"a jti is used once per client, byte for byte", func(t *testing.T, b Backend) {
		update(t, b.DB, use("one", "jti", noon))
		refuse(t, b.DB, idp.ErrConflict, use("one", "jti", noon.Add(time.Hour)))
		update(t, b.DB, use("two", "jti", noon))
		update(t, b.DB, use("one", "JTI", noon))
	}},
	{"a use is remembered over a restart", func(t *testing.T, b Backend) {
		update(t, b.DB, use("one", "jti", noon))
		refuse(t, b.Reopen(t), idp.ErrConflict, use("one", "jti", noon))
	}},
	{"a use is given back when the transaction fails", func(t *testing.T, b Backend) {
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Assertions.Use(ctx, "one", "jti", noon); err != nil {
				return err
			}
			return errFact
		})
		update(t, b.DB, use("one", "jti", noon))
	}},
	{"prune forgets what expired before", func(t *testing.T, b Backend) {
		update(t, b.DB, use("one", "old", noon.Add(-time.Millisecond)))
		update(t, b.DB, use("one", "kept", noon))
		pruneAll(t, b.DB, func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.Assertions.Prune(ctx, zoned) })
		update(t, b.DB, use("one", "old", noon))
		refuse(t, b.DB, idp.ErrConflict, use("one", "kept", noon))
	}},
	{"prune removes a bounded batch", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			for n := range store.PruneBatch + 1 {
				if err := tx.Assertions.Use(ctx, "one", strconv.Itoa(n), noon.Add(-time.Duration(n)*time.Second)); err != nil {
					return err
				}
			}
			return nil
		})
		batch := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return tx.Assertions.Prune(ctx, noon.Add(time.Second))
		}
		require.True(t, pruneOnce(t, b.DB, batch))
		refuse(t, b.DB, idp.ErrConflict, use("one", "0", noon)) // the oldest go first
		update(t, b.DB, use("one", "1", noon.Add(time.Hour)))
		require.False(t, pruneOnce(t, b.DB, batch))
		update(t, b.DB, use("one", "0", noon))
	}},
}
