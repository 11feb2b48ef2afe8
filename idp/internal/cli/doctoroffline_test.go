package cli_test

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// examined is what doctor finds in a store, by check.
func examined(t *testing.T, status int, environ []string, args ...string) map[string]finding {
	t.Helper()
	got, stdout, stderr := run(t, environ, append([]string{"doctor", "--offline", "-o", "json"}, args...)...)
	require.Equal(t, status, got, stderr)
	var all []finding
	require.NoError(t, json.Unmarshal([]byte(stdout), &all), stderr)
	found := map[string]finding{}
	for _, f := range all {
		require.Equal(t, f.Status == "WRONG", f.Do != "", "what is wrong comes with what to do: %v", f)
		found[f.Check] = f
	}
	return found
}

func change(t *testing.T, driver, address, statement string) {
	t.Helper()
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	_, err = db.Exec(statement)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestDoctorExaminesAFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	file, backup := filepath.Join(data, "agentidp.db"), filepath.Join(t.TempDir(), "backup.db")
	flags := []string{"--data-dir", data}
	status, _, stderr := run(t, nil, append([]string{"doctor", "--offline"}, flags...)...)
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "there is no store in")
	serve(t, data, func(issuer string, _ *obstest.Output) {
		found := examined(t, 0, nil, flags...)
		require.Len(t, found, 4, "beside the IdP that serves")
		for _, f := range found {
			require.Equal(t, "ok", f.Status)
		}
		status, stdout, stderr := run(t, nil, append([]string{"doctor", "--offline"}, flags...)...)
		require.Zero(t, status, stderr)
		require.Regexp(t, `(?m)^audit log +ok +\d+ events, the latest checkpoint covers \d+ and agrees$`, stdout)
		status, _, stderr = run(t, nil, append([]string{"backup", "--out", backup}, flags...)...)
		require.Zero(t, status, stderr)
		require.NotEmpty(t, bearer(t, issuer, data), "which is an event")
	})
	require.Equal(t, "ok", examined(t, 0, nil, flags...)["counts"].Status, "beside nobody")

	wrongKey := []string{"AGENTIDP_MASTER_KEY=" + strings.Repeat("ab", 32)}
	require.Equal(t, "WRONG", examined(t, 1, wrongKey, flags...)["master key"].Status)
	master := filepath.Join(data, "master.key")
	require.NoError(t, os.Rename(master, master+".away"))
	require.Contains(t, examined(t, 1, nil, flags...)["master key"].What, "the master key is missing")
	require.NoFileExists(t, master, "none is made")
	require.NoError(t, os.Rename(master+".away", master))

	change(t, "sqlite", file, "UPDATE agent_counts SET count = count + 1 WHERE organization_id = ''")
	found := examined(t, 1, nil, flags...)
	require.Regexp(t, `^\d+ of the counts`, found["counts"].What)
	require.Equal(t, "ok", found["audit log"].Status)

	content, err := os.ReadFile(backup)
	require.NoError(t, err)
	for _, suffix := range []string{"-wal", "-shm"} {
		require.NoError(t, os.RemoveAll(file+suffix))
	}
	require.NoError(t, os.WriteFile(file, content, 0o600))
	change(t, "sqlite", file, "PRAGMA journal_mode = wal")
	require.Contains(t, examined(t, 1, nil, flags...)["audit log"].What, "the latest checkpoint does not agree", "put back by hand, beside what was signed since")

	change(t, "sqlite", file, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, 1)")
	found = examined(t, 1, nil, flags...)
	require.Len(t, found, 1)
	require.Contains(t, found["schema"].What, "it is at version 9001")
	require.Contains(t, found["schema"].Do, "the release that has migrated it")
	change(t, "sqlite", file, "DELETE FROM goose_db_version WHERE version_id IN (9001, (SELECT max(version_id) FROM goose_db_version WHERE version_id < 9001))")
	found = examined(t, 1, nil, flags...)
	require.Contains(t, found["schema"].What, "is not applied")
	require.Contains(t, found["schema"].Do, "agentidp migrate up")
}

func TestDoctorExaminesADatabase(t *testing.T) {
	address := pgtest.URL(t)
	environ := []string{"DATABASE_URL=" + address, "AGENTIDP_DATA_DIR=" + t.TempDir(), "AGENTIDP_MASTER_KEY=" + strings.Repeat("ab", 32)}
	found := examined(t, 1, environ)
	require.Contains(t, found["schema"].What, "is not applied")
	status, _, stderr := run(t, environ, "migrate", "up")
	require.Zero(t, status, stderr)
	require.Len(t, examined(t, 0, environ), 4)
	change(t, "pgx", address, "INSERT INTO agent_counts (organization_id, owner, capability, status, environment, agent_type, count) VALUES ('', '', '', 'active', 'production', 'custom', 7)")
	require.Equal(t, "1 of the counts of agents and credentials are not what is there", examined(t, 1, environ)["counts"].What)
	away := append([]string{"DATABASE_URL=postgres://127.0.0.1:1/none?sslmode=disable&connect_timeout=1"}, environ[1:]...)
	require.Contains(t, examined(t, 1, away)["schema"].Do, "DATABASE_URL")
}
