package route_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const everything = `
upstreams:
  notes:
    urls: [http://10.0.0.7:8090, "https://notes.internal"]
    health: {path: "/healthz?deep=1", interval: 10s, timeout: 1s}
    timeout: 45s
    maxConnections: 64
  search: {urls: [http://10.0.0.9], health: {path: /}}
routes:
  - {path: /notes, capability: notes:any, upstream: notes, timeout: 1m30s}
  - {path: /notes, capability: api:notes, host: api.example.com, methods: [GET]}
  - {path: "/{x}", capability: api:x, host: api.example.com, upstream: search, rateLimit: {requests: 100, per: 1m}}
  - {path: /admin, capability: api:admin, host: "api.example.com:8443"}
  - {path: /admin, capability: any:admin}
  - {path: "/deep/{y}", capability: any:deep}
  - {path: /deep/Down, capability: api:deep, host: api.example.com}
  - {path: /, capability: six:root, host: "[::1]:80"}
`

func TestHosts(t *testing.T) {
	table := load(t, everything)
	for _, fact := range []struct{ method, host, path, id string }{
		{"GET", "api.example.com", "/notes", "api.example.com/notes"},
		{"GET", "API.Example.COM", "/notes", "api.example.com/notes"},
		{"GET", "api.example.com.", "/notes", "api.example.com/notes"},
		{"GET", "api.example.com:1", "/notes", "api.example.com/notes"},
		{"GET", "api.example.com:", "/notes", "api.example.com/notes"},
		{"GET", "x.example.com", "/notes", "/notes"},
		{"GET", "", "/notes", "/notes"},
		{"GET", "example.com", "/notes", "/notes"},
		// The host is chosen before the path: /{x} of the host beats /admin of any.
		{"GET", "api.example.com", "/admin", "api.example.com/{x}"},
		{"GET", "api.example.com:8443", "/admin", "api.example.com:8443/admin"},
		{"GET", "API.example.com.:08443", "/admin", "api.example.com:8443/admin"},
		{"GET", "api.example.com:8443", "/notes", "api.example.com/notes"},
		{"GET", "other", "/admin", "/admin"},
		{"GET", "api.example.com", "/deep/Down", "api.example.com/deep/Down"},
		{"GET", "api.example.com", "/deep/other", "/deep/{y}"},
		{"GET", "[::1]:80", "/", "[::1]:80/"},
	} {
		m := table.Match([]byte(fact.method), []byte(fact.host), []byte(fact.path))
		require.Equal(t, route.Found, m.Outcome, fact)
		require.Equal(t, fact.id, m.ID, fact)
		require.Equal(t, fact.id, m.Route.ID, fact)
	}
	outcome := func(method, host, path string) route.Outcome {
		return table.Match([]byte(method), []byte(host), []byte(path)).Outcome
	}
	require.Equal(t, route.NoMethod, outcome("POST", "api.example.com", "/notes"), "the host's routes of the path decide")
	require.Equal(t, route.NoPath, outcome("GET", "[::1]", "/"))
	require.Equal(t, route.NoPath, outcome("GET", "other", "/x"))
	// A lenient server would read the host's own route.
	require.Equal(t, route.Ambiguous, outcome("GET", "api.example.com", "/deep/down"))
	require.Equal(t, route.Found, outcome("GET", "other", "/deep/down"))
	require.Equal(t, route.Ambiguous, outcome("GET", "api.example.com:8443", "/Admin"))
	require.Equal(t, route.Found, outcome("GET", "api.example.com", "/Admin"))

	for _, host := range []string{"API.example.com.:08443", "api.example.com", "x", ""} {
		method, host, path := []byte("GET"), []byte(host), []byte("/admin")
		alloctest.Zero(t, func() { table.Match(method, host, path) }, string(host))
	}
}

func TestTablesOfHostsOnly(t *testing.T) {
	table := load(t, "routes:\n- {path: /a, capability: public, host: a}\n")
	require.Equal(t, route.Found, table.Match([]byte("GET"), []byte("a:80"), []byte("/a")).Outcome)
	require.Equal(t, route.NoPath, table.Match([]byte("GET"), []byte("b"), []byte("/a")).Outcome)
	require.Equal(t, route.NoPath, table.Match([]byte("GET"), nil, []byte("/a")).Outcome)
}
