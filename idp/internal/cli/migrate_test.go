package cli_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

func TestMigrate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for name, c := range map[string]struct {
		environ []string
		flags   []string
		first   string
	}{
		"sqlite": {nil, []string{"--data-dir", data}, "0001_registry.sql"},
		// as the image sets it, and without what only a server needs: issuer and master key
		"postgres": {[]string{"DATABASE_URL=" + pgtest.URL(t), "AGENTIDP_ADDR=0.0.0.0:8080"}, []string{"--data-dir", data}, "0001_registry.sql"},
	} {
		t.Run(name, func(t *testing.T) {
			migrate := func(command string) (int, string, string) {
				return run(t, c.environ, append([]string{"migrate", command}, c.flags...)...)
			}
			status, stdout, stderr := migrate("status")
			require.Equal(t, 1, status, "a script sees that something is pending")
			require.Contains(t, stdout, "pending")
			require.Contains(t, stderr, "agentidp migrate up")
			status, stdout, stderr = migrate("up")
			require.Zero(t, status, stderr)
			require.Contains(t, stdout, "applied "+c.first)
			status, stdout, stderr = migrate("up")
			require.Zero(t, status, stderr)
			require.Equal(t, "the schema is up to date\n", stdout)
			status, stdout, _ = migrate("status")
			require.Zero(t, status)
			require.NotContains(t, stdout, "pending")
			require.Contains(t, stdout, c.first)
		})
	}
}

func TestMigrateChecksWhatItUses(t *testing.T) {
	status, _, stderr := run(t, []string{"DATABASE_URL=mysql://db", "AGENTIDP_ADDR=0.0.0.0:8080"}, "migrate", "up")
	require.Equal(t, 2, status, stderr)
	require.Contains(t, stderr, "1 problem(s)")
	require.Contains(t, stderr, "database_url (environment DATABASE_URL): must be a postgres:// URL")
}
