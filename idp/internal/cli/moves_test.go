package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// The commands in the order in which an operator needs them.
func TestBackupRestoreAndMigrateData(t *testing.T) {
	folder := t.TempDir()
	data, file := filepath.Join(folder, "data"), filepath.Join(folder, "backup.db")
	command := func(args ...string) (int, string, string) {
		return run(t, nil, append(args, "--data-dir", data)...)
	}
	var admin struct{ ClientID, ClientSecret string }
	serve(t, data, func(issuer string, _ *obstest.Output) {
		content, err := os.ReadFile(filepath.Join(data, "admin.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, &admin))
		status, stdout, stderr := command("backup", "--out", file)
		require.Zero(t, status, stderr)
		require.Regexp(t, `backup.db: \d+ bytes, schema \d+\n\d+ events, root \S{44}\nthe latest checkpoint covers \d+ events and agrees\nthe master key is not in it: keep \S+master.key too\n`, stdout)
		require.Contains(t, stderr, "pages")
		status, _, stderr = command("backup", "--out", file)
		require.Equal(t, 1, status)
		require.Contains(t, stderr, "file already exists")
		status, _, stderr = command("backup", "--out", file, "--force")
		require.Zero(t, status, stderr)
		require.NotEmpty(t, tokenOf(t, issuer, admin.ClientID, admin.ClientSecret))
		status, _, stderr = command("restore", "--from", file)
		require.Equal(t, 1, status)
		require.Contains(t, stderr, "stop the IdP first")
	})
	status, stdout, stderr := command("restore", "--from", file)
	require.Zero(t, status, stderr)
	require.Regexp(t, `restored: \d+ events, root \S{44}\nlost: at least \d+ events, from \d+ to \d+\nwhat lay there is in \S+before-restore-\S+\nall tokens of 1 organizations are invalid`, stdout)
	status, stdout, stderr = command("restore", "--declare")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "lost: nothing that audit.checkpoint knows of")
	require.NotContains(t, stdout, "what lay there")
	require.NoError(t, os.Remove(filepath.Join(data, "audit.checkpoint")))
	status, stdout, stderr = command("restore", "--declare")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "lost: not known")
	serve(t, data, func(issuer string, _ *obstest.Output) {
		require.NotEmpty(t, tokenOf(t, issuer, admin.ClientID, admin.ClientSecret))
	})

	environ := []string{"DATABASE_URL=" + pgtest.URL(t), "AGENTIDP_MASTER_KEY_FILE=" + filepath.Join(data, "master.key"), "AGENTIDP_DATA_DIR=" + data}
	status, _, stderr = run(t, environ, "backup", "--out", file, "--force")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "pg_dump")
	status, _, stderr = run(t, environ, "migrate", "up")
	require.Zero(t, status, stderr)
	status, stdout, stderr = run(t, environ, "migrate-data", "--from", "sqlite", "--to", "postgres")
	require.Zero(t, status, stderr)
	require.Regexp(t, `source: (\d+ events, root \S{44})\ntarget: (\d+ events, root \S{44})\n\d+ signed checkpoints agree, the last one covers \d+ events\nmoved in \S+; serve from the database`, stdout)
	status, stdout, stderr = run(t, environ, "audit", "verify", "--offline")
	require.Zero(t, status, stdout+stderr)
	status, _, stderr = run(t, environ, "migrate-data", "--from", "sqlite", "--to", "postgres")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "not empty")

	for _, wrong := range [][]string{{"backup"}, {"restore"}, {"restore", "--declare", "--from", file}, {"migrate-data"}, {"migrate-data", "--from", "postgres", "--to", "sqlite"}} {
		status, _, _ = command(wrong...)
		require.Equal(t, 2, status, wrong)
	}
}
