package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

const routesText = `
routes:
  - {methods: [GET], path: /open, capability: public}
  - {methods: [GET], path: /notes, capability: "notes:read"}
  - {methods: [POST], path: /notes, capability: "notes:write"}
  - {methods: [GET], path: /lasting, capability: "notes:read", onStale: last_good}
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// environment is a whole configuration, with changes: "NAME=value" replaces,
// "NAME=" removes.
func environment(t *testing.T, changes ...string) []string {
	t.Helper()
	environ := []string{
		"UPSTREAM=http://10.0.0.7:8090", "ISSUER=https://idp.example.com", "AUDIENCE=https://notes.example.com",
		"ROUTES=" + writeFile(t, "routes.yaml", routesText), "CLIENT_ID=aidp_c_0123456789012345678901", "CLIENT_SECRET=secret",
	}
	environ = append(environ, changes...)
	for i := range environ {
		environ[i] = config.PrefixSidecar + environ[i]
	}
	return environ
}

// load answers the configuration and its problems, one a line.
func load(t *testing.T, environ []string) (app.Config, string) {
	t.Helper()
	cfg := app.Default()
	err := config.Load(&cfg, config.Options{Prefix: config.PrefixSidecar, Environ: environ, Warn: func(text string) { t.Error(text) }})
	var problems *config.Problems
	if err == nil {
		return cfg, ""
	}
	require.True(t, errors.As(err, &problems), err)
	lines := make([]string, 0, len(problems.List))
	for _, p := range problems.List {
		lines = append(lines, p.Key+": "+p.Text)
	}
	return cfg, strings.Join(lines, "\n")
}

func TestConfig(t *testing.T) {
	const (
		plainURL = "must be https off loopback, unless allow_http is true"
		url      = "must be an absolute http(s) URL without user, query"
		upstream = "upstream: must be http://host[:port]"
		feedOff  = "FEED=off"
	)
	for _, fact := range []struct {
		changes []string
		problem string // "" for none; else a part of the only one
	}{
		{nil, ""},
		{[]string{"ADDR=8081"}, "addr: must be host:port"},
		{[]string{"ADMIN_ADDR=127.0.0.1:8081"}, "admin_addr: must not be addr"},
		{[]string{"ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"}, ""},
		{[]string{"FORWARD_AUTH_LISTEN=127.0.0.1:8084"}, "forward_auth_listen: needs trusted_proxies: nobody else may ask"},
		{[]string{"FORWARD_AUTH_LISTEN=8084", "TRUSTED_PROXIES=127.0.0.1"}, "forward_auth_listen: must be host:port"},
		{[]string{"FORWARD_AUTH_LISTEN=127.0.0.1:8081", "TRUSTED_PROXIES=127.0.0.1"}, "forward_auth_listen: must not be addr, admin_addr"},
		{[]string{"FORWARD_AUTH_LISTEN=127.0.0.1:8084", "TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8"}, ""},
		{[]string{"EXT_AUTHZ_LISTEN=127.0.0.1:8085"}, "ext_authz_listen: needs trusted_proxies"},
		{[]string{"EXT_AUTHZ_LISTEN=127.0.0.1:8085", "TRUSTED_PROXIES=127.0.0.1/32"}, ""},
		{[]string{"EXT_AUTHZ_LISTEN=8085", "TRUSTED_PROXIES=127.0.0.1/32"}, "ext_authz_listen: must be host:port"},
		{[]string{"EXT_AUTHZ_LISTEN=127.0.0.1:8082", "TRUSTED_PROXIES=127.0.0.1/32"}, "ext_authz_listen: must not be"},
		{[]string{"UPSTREAM=10.0.0.7:8090"}, upstream},
		{[]string{"UPSTREAM=http://10.0.0.7/api"}, upstream},
		{[]string{"UPSTREAM=http://user@10.0.0.7"}, upstream},
		{[]string{"UPSTREAM=http://10.0.0.7?"}, upstream},
		{[]string{"UPSTREAM=https://10.0.0.7/"}, ""},
		{[]string{"ISSUER=https://idp.example.com/"}, "issuer: " + url},
		{[]string{"ISSUER=idp.example.com"}, "issuer: " + url},
		{[]string{"ISSUER=http://idp.example.com"}, "issuer: " + plainURL},
		{[]string{"ISSUER=http://idp.example.com", "ALLOW_HTTP=true"}, ""},
		{[]string{"ISSUER=http://127.0.0.1:8080"}, ""},
		{[]string{"ISSUER=http://[::1]:8080"}, ""},
		{[]string{"ISSUER=http://localhost:8080"}, ""},
		{[]string{"ISSUER=http://localhost.example.com"}, "issuer: " + plainURL},
		{[]string{"IDP_URL=http://10.0.0.8:8080"}, "idp_url: " + plainURL},
		{[]string{"IDP_URL=https://10.0.0.8:8080/"}, ""},
		{[]string{"IDP_URL=https://10.0.0.8#x"}, "idp_url: " + url},
		{[]string{"JWKS_URL=http://10.0.0.8/jwks"}, "jwks_url: " + plainURL},
		{[]string{"JWKS_URL=file:///etc/jwks"}, "jwks_url: " + url},
		{[]string{"AUDIENCE=https://idp.example.com"}, "audience: must not be the issuer"},
		{[]string{"AUDIENCE=https://idp.example.com/"}, "audience: must not be the issuer"},
		{[]string{"AUDIENCE=https://idp.example.com/notes"}, ""},
		{[]string{"AUDIENCE=urn:example:notes"}, ""},
		{[]string{"AUDIENCE=notes"}, "audience: must be an absolute URI"},
		{[]string{"AUDIENCE=https://notes.example.com/#x"}, "audience: must be an absolute URI"},
		{[]string{feedOff}, "client_id: has no use with feed off"},
		{[]string{"FEED=maybe"}, "feed: must be on or off"},
		{[]string{"ORGANIZATIONS=default, other"}, ""},
		{[]string{"ORGANIZATIONS=default,a b"}, "organizations[1]: must be an organization's id"},
		{[]string{"JWKS_TTL=0"}, "jwks_ttl: must be from 1s to 24h0m0s"},
		{[]string{"JWKS_COOLDOWN=2h"}, "jwks_cooldown: must be from 1s to 1h0m0s"},
		{[]string{"JWKS_MAX_STALE=60"}, "jwks_max_stale: must not be less than jwks_ttl"},
		{[]string{"REVOCATION_MAX_STALE=0"}, "revocation_max_stale: must be from 10s to 24h"},
		{[]string{"DRAIN_TIMEOUT=1h"}, "drain_timeout: must be from 1s to 5m0s"},
		{[]string{"DRAIN_DELAY=2m"}, "drain_delay: must be from 0 to 1m"},
		{[]string{"DRAIN_DELAY=0"}, ""},
		{[]string{"SPOOL_MAX_BYTES=1000"}, "spool_max_bytes: must be at least 262144"},
		{[]string{"SPOOL_WHEN_FULL=wait"}, "spool_when_full: must be block, drop_allow or drop_oldest"},
		{[]string{"MAX_BODY_BYTES=0"}, "max_body_bytes: must be at least 1"},
		{[]string{"NAME=notes-edge-1"}, ""},
		{[]string{"NAME=two words"}, "name: must be at most 128 visible ASCII characters"},
		{[]string{"NAME=" + strings.Repeat("x", 129)}, "name: must be at most 128"},
		{[]string{"LOG_LEVEL=loud"}, "log_level: must be debug, info, warn or error"},
		{[]string{"LOG_FORMAT=xml"}, "log_format: must be json or text"},
		{[]string{"POLICY_DIR=/nowhere"}, "policy_dir: must be a folder that can be read"},
		{[]string{"ROUTES=/nowhere"}, "routes: route file: open /nowhere: no such file or directory"},
	} {
		_, problems := load(t, environment(t, fact.changes...))
		if fact.problem == "" {
			require.Empty(t, problems, fact.changes)
			continue
		}
		require.Contains(t, problems, fact.problem, fact.changes)
		require.NotContains(t, problems, "\n", fact.changes)
	}
}

func TestRequiredSettings(t *testing.T) {
	for name, want := range map[string]string{
		"UPSTREAM": "upstream: is required", "ISSUER": "issuer: is required", "AUDIENCE": "audience: is required", "ROUTES": "routes: is required",
		"CLIENT_ID": "client_id: must be set together with client_secret", "CLIENT_SECRET": "client_id: must be set together with client_secret",
	} {
		_, problems := load(t, environment(t, name+"="))
		require.True(t, strings.HasPrefix(problems, want), "%s: %s", name, problems)
		require.NotContains(t, problems, "\n", name)
	}
	_, problems := load(t, environment(t, "CLIENT_ID=", "CLIENT_SECRET="))
	require.Contains(t, problems, "client_id: is required, with client_secret, unless feed is off")
}

// Routes that all name upstreams of their own need no other; certificates are for any of them.
func TestUpstreamsOfRoutes(t *testing.T) {
	file := writeFile(t, "routes.yaml", `
upstreams:
  notes: {urls: [http://10.0.0.7, "https://10.0.0.8"]}
routes:
  - {path: /notes, capability: "notes:read", upstream: notes}
`)
	_, problems := load(t, environment(t, "UPSTREAM=", "ROUTES="+file, "UPSTREAM_CA=ca.pem"))
	require.Empty(t, problems)
	_, problems = load(t, environment(t, "UPSTREAM="))
	require.Equal(t, "upstream: is required: a route names none of its own", problems)
	_, problems = load(t, environment(t, "UPSTREAM=", "ROUTES="))
	require.Contains(t, problems, "upstream: is required")
}

func TestForeignIssuer(t *testing.T) {
	foreign := environment(t, "FEED=off", "CLIENT_ID=", "CLIENT_SECRET=")
	_, problems := load(t, foreign)
	require.Empty(t, problems)
	_, problems = load(t, append(foreign, "AGENTIDP_SIDECAR_SPOOL_WHEN_FULL=block"))
	require.Contains(t, problems, "spool_when_full: must be drop_oldest with feed off")
}

func TestEveryProblemAtOnce(t *testing.T) {
	file := writeFile(t, "routes.yaml", "routes:\n  - {path: notes, capability: \"Notes\"}\n")
	_, problems := load(t, environment(t, "ROUTES="+file, "AUDIENCE=https://idp.example.com", "LOG_LEVEL=loud", "JWKS_TTL=x", "UPSTREAM=", "CLIENT_SECRET="))
	for _, want := range []string{
		"jwks_ttl: must be a duration", "routes: routes[0].path: must start with /", "routes: routes[0].capability: must be public or a capability",
		"audience: must not be the issuer", "client_id: must be set together", "log_level: must be",
	} {
		require.Contains(t, problems, want)
	}
	require.Equal(t, 5, strings.Count(problems, "\n"), problems)
}

func TestDefaults(t *testing.T) {
	secret := "CLIENT_SECRET_FILE=" + writeFile(t, "secret", "from-a-file\n")
	_, problems := load(t, environment(t, secret))
	require.Contains(t, problems, "is given both as a value and as a file")
	cfg, problems := load(t, environment(t, "CLIENT_SECRET=", secret))
	require.Empty(t, problems)
	require.Equal(t, "from-a-file", cfg.ClientSecret)
	require.Equal(t, "127.0.0.1:8081", cfg.Addr)
	require.Equal(t, "127.0.0.1:8082", cfg.AdminAddr)
	require.Equal(t, []time.Duration{5 * time.Minute, 10 * time.Second, 24 * time.Hour, 15 * time.Minute, 10 * time.Second},
		[]time.Duration{cfg.JWKSTTL, cfg.JWKSCooldown, cfg.JWKSMaxStale, cfg.RevocationMaxStale, cfg.DrainTimeout})
}
