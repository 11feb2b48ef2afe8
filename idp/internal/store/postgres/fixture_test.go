package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errCaller is a caller's own error.
var errCaller = errors.New("caller")

func quietly(string) {}

func migrateQuietly(ctx context.Context, url string) error { return Migrate(ctx, url, quietly) }

// fresh is the address of an empty, migrated database.
func fresh(t testing.TB) string {
	t.Helper()
	return pgtest.Migrated(t, migrateQuietly)
}

// openURL opens a store that closes with the test.
func openURL(t testing.TB, url string) *Store {
	t.Helper()
	return openWith(t, Options{URL: url})
}

// brisk is openURL for tests of the limits themselves.
func brisk(t testing.TB, url string) *Store {
	t.Helper()
	return openWith(t, Options{URL: url, Patience: 1})
}

// openWith opens a store that waits as long as a machine with many tests may take.
func openWith(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Patience == 0 {
		o.Patience = 20
	}
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// opened is a store on a database of its own.
func opened(t testing.TB) *Store {
	t.Helper()
	return openURL(t, fresh(t))
}

// put stores a setting named and valued alike: the smallest write there is.
func put(ctx context.Context, tx *store.Tx, name string) error {
	_, err := tx.Settings.PutIfAbsent(ctx, name, name)
	return err
}

func putting(name string) func(context.Context, *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, name) }
}

// count is a number that the database at the address answers, past the store.
func count(t testing.TB, url, query string, args ...any) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

// settings counts the settings by that name.
func settingsNamed(t testing.TB, url, name string) int {
	t.Helper()
	return count(t, url, "SELECT count(*) FROM settings WHERE name = $1", name)
}

// execute runs a statement past the store.
func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, statement)
	return err
}
