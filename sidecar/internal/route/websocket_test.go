package route_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

func TestWebSocketRoutes(t *testing.T) {
	table := load(t, `
routes:
  - {path: /plain, capability: a:b}
  - {path: /own, capability: a:b, websocket: true}
  - {methods: [GET], path: /listed, capability: a:b, websocket: true, origins: [https://app.example, "http://localhost:3000"]}
`)
	r := func(path string) *route.Route { return table.Match([]byte("GET"), nil, []byte(path)).Route }
	require.False(t, r("/plain").WebSocket)
	require.True(t, r("/own").WebSocket)
	for _, c := range []struct {
		path, origin, host string
		want               bool
	}{
		{"/own", "https://api.example", "api.example", true},
		{"/own", "https://API.example", "api.EXAMPLE.", true},
		{"/own", "http://api.example:8443", "api.example:8443", true},
		{"/own", "https://api.example:8443", "api.example", false},
		{"/own", "https://evil.example", "api.example", false},
		{"/own", "https://api.example.evil", "api.example", false},
		{"/own", "api.example", "api.example", false},
		{"/own", "null", "null", false},
		{"/own", "", "api.example", false},
		{"/own", "https://", "api.example", false},
		{"/listed", "https://app.example", "api.example", true},
		{"/listed", "http://localhost:3000", "api.example", true},
		{"/listed", "http://app.example", "api.example", false},
		{"/listed", "https://api.example", "api.example", false},
		{"/listed", "https://APP.example", "api.example", false},
		{"/listed", "", "api.example", false},
	} {
		require.Equal(t, c.want, r(c.path).Admits([]byte(c.origin), []byte(c.host)), "%v", c)
	}
	require.True(t, r("/own").Admits(nil, []byte("api.example")), "no browser")
	require.True(t, r("/listed").Admits(nil, []byte("api.example")))
}

func TestWebSocketProblems(t *testing.T) {
	_, err := route.Load([]byte(`
routes:
  - {methods: [POST], path: /a, capability: a:b, websocket: true}
  - {path: /b, capability: a:b, origins: [https://app.example]}
  - {path: /c, capability: a:b, websocket: true, origins: []}
  - {path: /d, capability: a:b, websocket: true, origins: [https://a/, "*", null, app.example, https://A.example, "https://a b", https://u@a, "https://a:99999", https://..a, https://x, https://x, ""]}
  - {path: /e, capability: a:b, websocket: true, origins: https://x}
  - {path: /f, capability: a:b, websocket: "yes"}
  - {path: /g, capability: a:b, websocket: true, upstream: new}
  - {path: /h, capability: a:b, websocket: true, protocol: mcp}
upstreams:
  new: {urls: ["https://api.example"], protocol: h2}
`))
	var problems route.Problems
	require.ErrorAs(t, err, &problems)
	const origin = "must be an origin as browsers send it, such as https://app.example.com or http://localhost:3000"
	require.ElementsMatch(t, route.Problems{
		"routes[0].websocket: needs GET among the methods: a handshake is one",
		"routes[1].origins: is for routes with websocket: true",
		"routes[2].origins: must be a list of 1 to 64 origins",
		"routes[3].origins[0]: " + origin, "routes[3].origins[1]: " + origin, "routes[3].origins[2]: must be a string", "routes[3].origins[3]: " + origin,
		"routes[3].origins[4]: " + origin, "routes[3].origins[5]: " + origin, "routes[3].origins[6]: " + origin, "routes[3].origins[7]: " + origin,
		"routes[3].origins[8]: " + origin, "routes[3].origins[10]: https://x stands twice", "routes[3].origins[11]: " + origin,
		"routes[4].origins: must be a list of 1 to 64 origins",
		"routes[5].websocket: must be true or false",
		"routes[6].upstream: must speak HTTP/1.1 on a route with websocket: true",
		"routes[7].websocket: cannot stand with protocol: messages are not read",
	}, problems)
}
