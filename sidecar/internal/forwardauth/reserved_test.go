package forwardauth

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

func example(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../../../deploy/forward-auth/" + name)
	require.NoError(t, err)
	return string(content)
}

// What is let through the sidecar is what nginx replaces, not one field more.
func TestNginxReplaces(t *testing.T) {
	_, location, found := strings.Cut(example(t, "nginx.conf"), "\n    location / {\n")
	require.True(t, found)
	location, _, _ = strings.Cut(location, "\n    }\n")
	set := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^ *proxy_set_header ([^ ]+) `).FindAllStringSubmatch(location, -1) {
		if name := strings.ToLower(match[1]); guard.Strips(name) {
			require.False(t, set[name], "%s twice", name)
			set[name] = true
		}
	}
	require.Equal(t, set, replaced)
}

// Traefik's entry point removes some of them by itself, where nothing before it is trusted.
func TestTraefikReplaces(t *testing.T) {
	config := example(t, "traefik.yml")
	gone := names("x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-server x-forwarded-prefix x-forwarded-tls-client-cert x-forwarded-tls-client-cert-info x-real-ip")
	for _, match := range regexp.MustCompile(`(?m)^ +([A-Za-z0-9-]+): ""`).FindAllStringSubmatch(config, -1) {
		gone[strings.ToLower(match[1])] = true
	}
	families := regexp.MustCompile(`authResponseHeadersRegex: "(.*)"`).FindStringSubmatch(config)
	require.NotNil(t, families)
	family := regexp.MustCompile(families[1])
	for name := range maps.Keys(replaced) {
		require.True(t, gone[name] || family.MatchString(name), name)
	}
}

func TestReserved(t *testing.T) {
	for _, name := range []string{"X-Agent-Role", "x-agentidp-x", "X-Forwarded-Role", "X-FORWARDED-ROLE"} {
		require.True(t, reserved([]byte(name)), name)
	}
	for _, name := range []string{"X-Agent-Id", "x-forwarded-port", "X-REAL-IP", "Authorization", "X-Request-Id", "Traceparent", "Accept", "X-Agency"} {
		require.False(t, reserved([]byte(name)), name)
	}
}
