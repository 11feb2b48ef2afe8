package sqlite

import (
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

func migration(sql string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
}

func TestFailedMigrationRollsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agentidp.db")
	require.NoError(t, create(path))
	db := openDB(path, writerPragmas, 1)
	defer db.Close()
	good := fstest.MapFS{"0001_first.sql": migration("CREATE TABLE a (x TEXT) STRICT;")}
	require.NoError(t, migrate(t.Context(), db, good))
	bad := fstest.MapFS{"0001_first.sql": good["0001_first.sql"], "0002_second.sql": migration(
		"CREATE TABLE b (x TEXT) STRICT;\nINSERT INTO a VALUES ('half');\nCREATE TABLE a (x TEXT) STRICT;")}
	require.ErrorContains(t, migrate(t.Context(), db, bad), "already exists")
	var tables, rows, version int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_schema WHERE name = 'b'").Scan(&tables))
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&rows))
	require.NoError(t, db.QueryRowContext(t.Context(), schemaVersion).Scan(&version))
	require.Equal(t, [3]int{0, 0, 1}, [3]int{tables, rows, version})
	bad["0002_second.sql"] = migration("CREATE TABLE b (x TEXT) STRICT;")
	require.NoError(t, migrate(t.Context(), db, bad))
	require.ErrorIs(t, migrate(t.Context(), db, good), ErrSchema, "an older release must not serve it")
	require.ErrorContains(t, migrate(t.Context(), db, fstest.MapFS{}), "migrations")
}

func TestReadOnlyDemandsThisSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agentidp.db")
	require.NoError(t, create(path))
	db := openDB(path, writerPragmas, 1)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE other (x TEXT)")
	require.NoError(t, err)
	_, err = OpenReadOnly(t.Context(), path)
	require.ErrorIs(t, err, ErrSchema)
	require.NoError(t, migrate(t.Context(), db, fstest.MapFS{"0001_first.sql": migration("CREATE TABLE a (x TEXT) STRICT;")}))
	_, err = OpenReadOnly(t.Context(), path)
	require.ErrorIs(t, err, ErrSchema)
	require.ErrorContains(t, err, "version 1")
	require.NoError(t, db.Close())
}

func TestMigrationsAreListed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agentidp.db")
	steps, err := Migrations(t.Context(), path)
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	for i, step := range steps {
		require.Equal(t, int64(i+1), step.Version)
		require.True(t, step.AppliedAt.IsZero(), step.Name)
	}
	require.NoFileExists(t, path, "a look makes no file")

	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	defer s.Close()
	applied, err := Migrations(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, applied, len(steps))
	for i, step := range applied {
		require.Equal(t, steps[i].Name, step.Name)
		require.WithinDuration(t, time.Now(), step.AppliedAt, time.Minute)
	}
}
