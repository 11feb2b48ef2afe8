package route_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const wellKnown = "/.well-known/oauth-protected-resource"

func TestResources(t *testing.T) {
	table := load(t, `
resources:
  - {url: "https://api.example"}
  - {url: "https://api.example:8443/mcp/", name: Tools}
  - {url: "https://other.example/mcp"}
  - {url: "https://api.example/mcp/deep", scopes: ["b:c", "a:b", "a:b"]}
routes:
  - {path: /mcp, host: api.example, capability: mcp:use, protocol: mcp, rpc: {"resources/read": "mcp:resources"}}
  - {path: "/mcp/**", capability: "files:*"}
  - {path: "/mcp/deep/{x}", capability: deep:read}
  - {path: /mcpx, capability: x:y}
  - {path: /mcp, host: "other.example:8443", capability: peer:use, protocol: a2a}
  - {path: "/**", host: third.example, capability: third:use}
  - {methods: [GET], path: /open, capability: public}
  - {path: "/**", host: "other.example", capability: rest:use}
upstreams:
  unused: {urls: ["http://127.0.0.1:1"]}
`)
	require.Len(t, table.Routes(), 8)
	resources := table.Resources()
	require.Len(t, resources, 4)
	of := func(host, path string) string {
		m := table.Match([]byte("POST"), []byte(host), []byte(path))
		if m.Route == nil {
			m = table.Match([]byte("GET"), []byte(host), []byte(path))
		}
		require.NotNil(t, m.Route, path)
		if m.Route.Resource == nil {
			return ""
		}
		return m.Route.Resource.URL
	}
	require.Equal(t, "https://api.example:8443/mcp/", of("api.example", "/mcp"))
	require.Equal(t, "https://api.example:8443/mcp/", of("any.example", "/mcp/x"))
	require.Equal(t, "https://api.example/mcp/deep", of("any.example", "/mcp/deep/x"))
	require.Equal(t, "https://api.example", of("any.example", "/mcpx"))
	require.Equal(t, "https://api.example", of("any.example", "/open"))
	require.Equal(t, "https://other.example/mcp", of("other.example:8443", "/mcp"))
	require.Empty(t, of("third.example", "/mcp"))
	require.Empty(t, of("other.example", "/rest"))

	require.Equal(t, []string{"x:y"}, resources[0].Scopes)
	require.Equal(t, []string{"files:*", "mcp:resources", "mcp:use"}, resources[1].Scopes)
	require.Contains(t, resources[2].Scopes, "peer:use")
	require.Contains(t, resources[2].Scopes, "a2a:message/send")
	require.NotContains(t, resources[2].Scopes, "")
	require.Equal(t, []string{"a:b", "b:c"}, resources[3].Scopes)
	require.False(t, resources[3].Told)
	require.Equal(t, "https://api.example:8443"+wellKnown+"/mcp", resources[1].Meta)
	require.Equal(t, "https://api.example"+wellKnown, resources[0].Meta)
	require.Equal(t, "Tools", resources[1].Name)

	// The metadata are routes, in front of what a host's own routes would take.
	describes := func(host, path string, want *route.Resource) {
		t.Helper()
		m := table.Match([]byte("GET"), []byte(host), []byte(path))
		require.Equal(t, route.Found, m.Outcome)
		require.True(t, m.Open)
		require.Same(t, want, m.Route.Metadata)
		require.Nil(t, m.Route.Resource)
		require.Equal(t, route.NoMethod, table.Match([]byte("POST"), []byte(host), []byte(path)).Outcome)
	}
	describes("api.example", wellKnown, resources[0])
	describes("front.example", wellKnown, resources[0])
	describes("api.example:8443", wellKnown+"/mcp", resources[1])
	describes("other.example", wellKnown+"/mcp", resources[2])
	describes("other.example:8443", wellKnown+"/mcp", resources[2])
	describes("any.example", wellKnown+"/mcp/deep", resources[3])
	require.Equal(t, route.NoPath, table.Match([]byte("GET"), []byte("any.example"), []byte(wellKnown+"/mcp")).Outcome, "two share the path")
	require.Nil(t, table.Match([]byte("GET"), []byte("third.example"), []byte(wellKnown+"/x")).Route.Metadata)
	require.True(t, table.NeedsDefault())

	without := load(t, "routes:\n  - {path: /a, capability: a:b}")
	require.Empty(t, without.Resources())
	require.Equal(t, route.NoPath, without.Match([]byte("GET"), nil, []byte(wellKnown)).Outcome)
}

func TestResourceProblems(t *testing.T) {
	_, err := route.Load([]byte(`
resources:
  - {url: "ftp://a.example/x"}
  - {url: "https://A.example"}
  - {url: "https://u:secret@a.example"}
  - {url: "https://a.example/x?y"}
  - {url: "https://a.example/x#"}
  - {url: "https://a.example//x"}
  - {url: "https://a.example/x/**"}
  - {url: "https://a.example/%7Bx%7D"}
  - {url: "https://a.example/y\"z"}
  - {url: "https:///x"}
  - {name: x}
  - {url: "https://b.example/x", name: "a\nb", scopes: x, extra: 1}
  - {url: "https://b.example/x/", scopes: ["A:b", 7]}
  - 7
routes:
  - {path: /a, capability: a:b}
`))
	require.Error(t, err)
	for _, want := range []string{
		"resources[0].url: must be the https URL", "resources[1].url: must be the https URL", "resources[2].url: must be the https URL", "resources[3].url: must be the https URL", "resources[4].url: must be the https URL",
		"resources[5].url: has an empty segment", "resources[6].url: must be the https URL", "resources[7].url: must be the https URL", "resources[8].url: must be the https URL", "resources[9].url: must be the https URL",
		"resources[10].url: is missing", "resources[11].name: must be one line", "resources[11].scopes: must be a list", "resources[11].extra: unknown key", "resources[12].url: stands twice",
		"resources[12].scopes[0]: must be a capability", "resources[12].scopes[1]: must be a string", "resources[13]: must be a mapping",
	} {
		require.Contains(t, err.Error(), "\n  "+want)
	}
	require.NotContains(t, err.Error(), "secret")
	for _, file := range []string{"resources: []", "resources: {}", "resources: x"} {
		_, err := route.Load([]byte(file + "\nroutes:\n  - {path: /a, capability: a:b}"))
		require.ErrorContains(t, err, "resources: must be a list of 1 to 64 resources")
	}
	_, err = route.Load([]byte(`{resources: [{url: "https://a.example/x"}], routes: [{path: /.well-known/oauth-protected-resource/x, capability: public}]}`))
	require.ErrorContains(t, err, "is routed twice")
}
