package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/idp/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		path := filepath.Join(t.TempDir(), "agentidp.db")
		require.NoError(t, sqlite.Create(path))
		open := func(t *testing.T) *sqlite.Store {
			s, err := sqlite.Open(t.Context(), path)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
		s := open(t)
		return storetest.Backend{
			DB: s,
			Reopen: func(t *testing.T) store.DB {
				require.NoError(t, s.Close())
				return open(t)
			},
			Exec: func(ctx context.Context, statement string) error { return tamper(ctx, path, statement) },
		}
	})
}

// tamper runs a statement on a connection of its own, past the store.
func tamper(ctx context.Context, path, statement string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
