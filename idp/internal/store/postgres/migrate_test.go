package postgres

import (
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

func migration(sql string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
}

func TestManyMigrateAtOnce(t *testing.T) {
	address := pgtest.URL(t)
	var mu sync.Mutex
	applied := make(map[string]int)
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			err := Migrate(t.Context(), address, func(name string) {
				mu.Lock()
				defer mu.Unlock()
				applied[name]++
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	steps, err := Status(t.Context(), address)
	require.NoError(t, err)
	require.Len(t, applied, len(steps))
	for _, step := range steps {
		require.False(t, step.AppliedAt.IsZero(), step.Name)
		require.Equal(t, 1, applied[step.Name], step.Name)
	}
	openURL(t, address)
}

func TestFailedMigrationRollsBack(t *testing.T) {
	address := pgtest.URL(t)
	good := fstest.MapFS{"0001_first.sql": migration("CREATE TABLE a (x text);")}
	require.NoError(t, migrate(t.Context(), address, good, quietly))
	bad := fstest.MapFS{"0001_first.sql": good["0001_first.sql"], "0002_second.sql": migration(
		"CREATE TABLE b (x text);\nINSERT INTO a VALUES ('half');\nCREATE TABLE a (x text);")}
	require.ErrorContains(t, migrate(t.Context(), address, bad, quietly), "already exists")
	require.Zero(t, count(t, address, "SELECT count(*) FROM pg_class WHERE relname = 'b'"))
	require.Zero(t, count(t, address, "SELECT count(*) FROM a"))
	require.Equal(t, 1, count(t, address, schemaVersion))
	bad["0002_second.sql"] = migration("CREATE TABLE b (x text);")
	require.NoError(t, migrate(t.Context(), address, bad, quietly))
	require.ErrorIs(t, migrate(t.Context(), address, good, quietly), ErrSchema, "an older release must not serve it")
	require.ErrorContains(t, migrate(t.Context(), address, fstest.MapFS{}, quietly), "migrations")
	require.ErrorContains(t, migrate(t.Context(), "postgres://127.0.0.1:1/x?sslmode=odd", good, quietly), "sslmode")
}

func TestOpenDemandsThisSchema(t *testing.T) {
	address := pgtest.URL(t)
	steps, err := Status(t.Context(), address)
	require.NoError(t, err)
	require.Equal(t, "0001_registry.sql", steps[0].Name)
	require.True(t, steps[0].AppliedAt.IsZero())
	_, err = Open(t.Context(), Options{URL: address})
	require.ErrorIs(t, err, ErrSchema)
	require.ErrorContains(t, err, "version 0")
	require.ErrorContains(t, err, "agentidp migrate up")
	require.NoError(t, openWith(t, Options{URL: address, Migrate: true}).Ping(t.Context()))
	require.NoError(t, execute(t.Context(), address, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"))
	_, err = Open(t.Context(), Options{URL: address})
	require.ErrorIs(t, err, ErrSchema)
	require.ErrorContains(t, err, "version 9999")
	_, err = Status(t.Context(), "postgres://127.0.0.1:1/x")
	require.Error(t, err)
}
