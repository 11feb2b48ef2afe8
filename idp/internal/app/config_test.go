package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
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
		"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=-1", "AGENTIDP_LIMITS_AUDIT_DAYS=30", "AGENTIDP_AUDIT_DAYS_CUSTOM=-1", "AGENTIDP_LOG_LEVEL=loud", "AGENTIDP_LOG_FORMAT=xml", "AGENTIDP_DRAIN_TIMEOUT=1h",
		"AGENTIDP_POLICY_DIR=/nowhere", "DATABASE_URL=mysql://u:hunter2@db/x", "DATABASE_DIRECT_URL=db", "AGENTIDP_TLS_CERT=x", "AGENTIDP_CORS_ORIGINS=*",
		"AGENTIDP_JWKS_MAX_AGE=2h", "AGENTIDP_KEY_ROTATION=1s", "AGENTIDP_DRAIN_DELAY=1h", "AGENTIDP_SECRET_SCHEME=rot13", "AGENTIDP_PEPPER=hunter2",
		"OTEL_EXPORTER_OTLP_ENDPOINT=x", "OTEL_TRACES_SAMPLER_ARG=2", "VAULT_TOKEN=hunter2", "REDIS_CACERT=/nowhere", "AGENTIDP_VAULT_MASTER_KEY=kv", "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=hunter2",
	)
	for _, key := range []string{
		"addr", "admin_addr", "issuer", "bootstrap_client_id", "bcrypt_cost", "token_ttl", "default_resource", "resources[1]",
		"redis_cacert", "limits_agents", "limits_tokens_per_month", "limits_requests_per_minute", "limits_audit_days", "audit_days_custom", "log_level", "log_format", "drain_timeout", "policy_dir", "database_url",
		"database_direct_url", "tls_cert", "cors_origins[0]", "jwks_max_age", "key_rotation", "drain_delay", "secret_scheme", "pepper",
		"otel_exporter_otlp_endpoint", "otel_traces_sampler_arg", "vault_token", "vault_master_key",
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

func TestTheSchemeOfSecretsFollowsFromWhatIsSet(t *testing.T) {
	pepper := "AGENTIDP_PEPPER=1:" + strings.Repeat("QUFB", 11)
	vault := []string{"VAULT_ADDR=https://vault.example.com", "VAULT_TOKEN=t"}
	for _, row := range []struct {
		environ []string
		good    bool
	}{
		{[]string{pepper}, true},
		{[]string{"AGENTIDP_SECRET_SCHEME=hmac-sha256"}, false},
		{[]string{"AGENTIDP_SECRET_SCHEME=vault"}, false},
		{[]string{"AGENTIDP_BCRYPT_COST=0"}, false},
		{[]string{"AGENTIDP_BCRYPT_COST=0", pepper}, true},
		{vault, true},
		{vault[:1], false},
		{append(vault, "AGENTIDP_VAULT_ROLE_ID=r", "AGENTIDP_VAULT_SECRET_ID=s"), false},
		{[]string{vault[0], "AGENTIDP_VAULT_ROLE_ID=r", "AGENTIDP_VAULT_SECRET_ID=s"}, true},
		{[]string{vault[0], "AGENTIDP_VAULT_ROLE_ID=r"}, false},
		{[]string{vault[0], "AGENTIDP_VAULT_KUBERNETES_ROLE=r", "AGENTIDP_VAULT_MASTER_KEY=transit"}, true},
		{append(vault, "AGENTIDP_VAULT_MASTER_KEY=safe"), false},
		{append(vault, "AGENTIDP_VAULT_MASTER_KEY=kv", "AGENTIDP_MASTER_KEY=x"), false},
		{[]string{"VAULT_ADDR=http://vault.example.com", "VAULT_TOKEN=t"}, false},
		{[]string{"VAULT_ADDR=http://127.0.0.1:8200", "VAULT_TOKEN=t"}, true},
	} {
		_, err := load(row.environ...)
		require.Equal(t, row.good, err == nil, "%v: %v", row.environ, err)
	}
}

func TestTheAuthoritiesOfRedis(t *testing.T) {
	ca := tlstest.NewAuthority(t).File
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, row := range []struct{ url, file, problem string }{
		{"rediss://redis.example.com", ca, ""},
		{"rediss+sentinel://redis.example.com/m", ca, ""},
		{"redis://redis.example.com", ca, "is of no use without a redis_url of rediss"},
		{"", ca, "is of no use without a redis_url of rediss"},
		{"rediss://redis.example.com", "/nowhere", "no such file"},
		{"rediss://redis.example.com", empty, "holds no certificate in PEM"},
	} {
		_, err := load("REDIS_URL="+row.url, "REDIS_CACERT="+row.file)
		if row.problem == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "redis_cacert")
		require.ErrorContains(t, err, row.problem)
	}
}
