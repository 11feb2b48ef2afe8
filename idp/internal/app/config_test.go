package app_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/config"
)

func load(environ ...string) (app.Config, error) {
	cfg := app.Default()
	return cfg, config.Load(&cfg, config.Options{Prefix: config.PrefixIdP, Environ: environ})
}

func TestNothingIsRequiredOnLoopback(t *testing.T) {
	cfg, err := load()
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:8080", cfg.IssuerURL())
	require.True(t, cfg.Loopback())
}

func TestEveryProblemIsNamedAtOnce(t *testing.T) {
	_, err := load(
		"AGENTIDP_ADDR=nonsense", "AGENTIDP_ADMIN_ADDR=x", "AGENTIDP_BOOTSTRAP_CLIENT_ID=short", "AGENTIDP_BCRYPT_COST=4", "AGENTIDP_TOKEN_TTL=10s",
		"AGENTIDP_DEFAULT_RESOURCE=relative", "AGENTIDP_RESOURCES=https://a,b#c", "AGENTIDP_LIMITS_AGENTS=-1", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=-1",
		"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=-1", "AGENTIDP_LOG_LEVEL=loud", "AGENTIDP_LOG_FORMAT=xml", "AGENTIDP_DRAIN_TIMEOUT=1h",
		"AGENTIDP_POLICY_DIR=/nowhere", "DATABASE_URL=postgres://u:hunter2@db/x", "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=hunter2",
	)
	for _, key := range []string{
		"addr", "admin_addr", "issuer", "bootstrap_client_id", "bcrypt_cost", "token_ttl", "default_resource", "resources[1]",
		"limits_agents", "limits_tokens_per_month", "limits_requests_per_minute", "log_level", "log_format", "drain_timeout", "policy_dir", "database_url",
	} {
		require.ErrorContains(t, err, key)
	}
	require.NotContains(t, err.Error(), "hunter2")
}

func TestIssuerRules(t *testing.T) {
	for _, row := range []struct {
		environ []string
		good    bool
	}{
		{[]string{"AGENTIDP_ADDR=0.0.0.0:8080"}, false},
		{[]string{"AGENTIDP_ADDR=0.0.0.0:8080", "AGENTIDP_ISSUER=https://idp.example.com"}, true},
		{[]string{"AGENTIDP_ADDR=0.0.0.0:8080", "AGENTIDP_ISSUER=http://idp.example.com"}, false},
		{[]string{"AGENTIDP_ADDR=0.0.0.0:8080", "AGENTIDP_ISSUER=http://idp.example.com", "AGENTIDP_ALLOW_HTTP=true"}, true},
		{[]string{"AGENTIDP_ISSUER=http://localhost:8080"}, true},
		{[]string{"AGENTIDP_ISSUER=http://[::1]:8080/idp"}, true},
		{[]string{"AGENTIDP_ISSUER=https://idp.example.com/"}, false},
		{[]string{"AGENTIDP_ISSUER=https://idp.example.com/x?y=1"}, false},
		{[]string{"AGENTIDP_ISSUER=https://u:p@idp.example.com"}, false},
		{[]string{"AGENTIDP_ISSUER=ftp://idp.example.com"}, false},
		{[]string{"AGENTIDP_ISSUER=idp.example.com"}, false},
	} {
		_, err := load(row.environ...)
		require.Equal(t, row.good, err == nil, "%v: %v", row.environ, err)
	}
}

func TestPathsLieInTheDataFolder(t *testing.T) {
	cfg, err := load("AGENTIDP_DATA_DIR=/var/lib/agentidp")
	require.NoError(t, err)
	for _, path := range []string{cfg.StorePath(), cfg.MasterKeyPath(), cfg.AdminPath(), cfg.CheckpointPath()} {
		require.Equal(t, "/var/lib/agentidp", filepath.Dir(path))
	}
	require.NotEqual(t, cfg.StorePath(), cfg.MasterKeyPath())
	_, err = os.Stat("/var/lib/agentidp")
	require.Error(t, err, "checking makes nothing")
}
