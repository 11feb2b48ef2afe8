package faults

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// site is where one IdP, or several, keep their state.
type site struct {
	backend string
	issuer  string                     // of the first process; replicas share it
	env     []string                   // that leads a process there
	open    func(t *testing.T) *sql.DB // to look at it behind the IdP's back
	dir     string                     // the data folder; "": each process has its own
	points  []failpoint.Point          // those that the backend passes
}

// backends are where a fault that concerns both is tried.
var backends = map[string]func(t *testing.T) *site{"sqlite": onSQLite, "postgres": onPostgres}

// onEach runs the test on both backends.
func onEach(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) { test(t, backends[name](t)) })
	}
}

// onSQLite is a new data folder.
func onSQLite(t *testing.T) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	return sqliteIn(dir)
}

func sqliteIn(dir string) *site {
	return &site{backend: "sqlite", dir: dir, points: failpoint.Points(), open: func(t *testing.T) *sql.DB {
		// A trigger that a test makes waits for the IdP's transaction.
		return database(t, "sqlite", filepath.Join(dir, "agentidp.db")+"?_pragma=busy_timeout(10000)")
	}}
}

// onPostgres is a new database on the server that all tests share.
func onPostgres(t *testing.T) *site {
	t.Helper()
	return postgresAt(pgtest.URL(t))
}

func postgresAt(url string) *site {
	return &site{
		backend: "postgres", env: []string{"DATABASE_URL=" + url},
		open:   func(t *testing.T) *sql.DB { return database(t, "pgx", url) },
		points: pick([]failpoint.Point{failpoint.StoreCommit, failpoint.StoreCommitted, failpoint.RequestDone}, failpoint.Points()),
	}
}

func database(t *testing.T, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	return db
}
