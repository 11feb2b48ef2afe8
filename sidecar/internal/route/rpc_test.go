package route_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

func TestNeed(t *testing.T) {
	table := load(t, `
routes:
  - {path: /mcp, capability: mcp:use, protocol: mcp}
  - path: /own
    capability: mcp:use
    protocol: mcp
    rpc: {"tools/call": "notes:tool-{name}", "tools/call getWeather": "weather:read", "tools/call *": "all:tools", "tools/list": "notes:list", "logging/setLevel": "mcp:use", "prompts/get": "notes:prompts"}
  - {path: /a2a, capability: a2a:use, protocol: a2a, rpc: {"message/send": "peer:ask", "Other": "peer:other"}}
  - {path: /whole, capability: mcp:use, protocol: mcp, rpc: {"tools/call": "tools:{name}"}}
`)
	need := func(path, method, name, want string, ok bool) {
		t.Helper()
		m := table.Match([]byte("POST"), nil, []byte(path))
		require.NotNil(t, m.Route.RPC)
		got, can := m.Route.RPC.Need(method, name)
		require.Equal(t, ok, can, "%s %q %q", path, method, name)
		if ok {
			require.Equal(t, want, got, "%s %q %q", path, method, name)
		}
		if ok && want != "" {
			_, err := capability.Parse(got)
			require.NoError(t, err)
		}
	}
	for _, free := range []string{"initialize", "ping", "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "logging/setLevel",
		"notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed"} {
		need("/mcp", free, "whatever", "", true)
	}
	need("/mcp", "tools/call", "search", "mcp:tool/search", true)
	need("/mcp", "tools/call", "a/b.c_d-e", "mcp:tool/a/b.c_d-e", true)
	need("/mcp", "tools/call", strings.Repeat("x", 119), "mcp:tool/"+strings.Repeat("x", 119), true)
	need("/mcp", "prompts/get", "p", "mcp:prompt/p", true)
	need("/mcp", "resources/read", "search", "mcp:method/resources/read", true)
	need("/mcp", "tools/callx", "search", "mcp:method/tools/callx", true)
	for _, name := range []string{"", "*", "Search", "se arch", "a:b", "é", "a\x00", "a\n", strings.Repeat("x", 120), "{name}", "%61", "a,b"} {
		need("/mcp", "tools/call", name, "", false)
	}
	for _, method := range []string{"Tools/call", "resources/Read", "a b", "a:b", strings.Repeat("x", 118)} {
		need("/mcp", method, "x", "", false)
	}
	need("/own", "tools/call", "search", "notes:tool-search", true)
	need("/own", "tools/call", "getWeather", "weather:read", true)
	need("/own", "tools/call", "getweather", "notes:tool-getweather", true)
	need("/own", "tools/call", "*", "all:tools", true)
	need("/own", "tools/list", "", "notes:list", true)
	need("/own", "prompts/get", "p", "notes:prompts", true)
	need("/own", "logging/setLevel", "", "mcp:use", true)
	need("/own", "ping", "", "", true)

	need("/whole", "tools/call", "x", "tools:x", true)
	need("/whole", "tools/call", "*", "", false) // which would be all of them

	need("/own", "tools/call", strings.Repeat("x", route.MaxName+1), "", false)
	need("/a2a", "message/send", "x", "peer:ask", true)
	need("/a2a", "SendMessage", "x", "a2a:message/send", true)
	need("/a2a", "tasks/pushNotificationConfig/set", "", "a2a:tasks/push/set", true)
	need("/a2a", "tasks/resubscribe", "", "a2a:tasks/subscribe", true)
	need("/a2a", "agent/getAuthenticatedExtendedCard", "", "", true)
	need("/a2a", "Other", "", "peer:other", true)
	need("/a2a", "tools/call", "search", "a2a:method/tools/call", true)
	need("/a2a", "Unknown", "", "", false)

	require.Equal(t, []string{"DELETE", "GET", "POST"}, table.Routes()[0].Methods)
	require.Equal(t, []string{"POST"}, table.Routes()[2].Methods)
	require.True(t, table.Routes()[0].RPC.Names("tools/call"))
	require.False(t, table.Routes()[2].RPC.Names("tools/call"))
}

func TestRPCProblems(t *testing.T) {
	_, err := route.Load([]byte(`
routes:
  - {path: /a, capability: a:b, rpc: {x: "a:b"}}
  - {path: /b, capability: a:b, protocol: grpc}
  - {path: /c, capability: public, protocol: mcp}
  - {path: /d, methods: [PUT, GET, POST], capability: a:b, protocol: mcp}
  - {path: /e, methods: [GET, OPTIONS], capability: a:b, protocol: a2a}
  - {path: /f, capability: a:b, protocol: mcp, rpc: {}}
  - {path: /g, capability: a:b, protocol: mcp, rpc: [x]}
  - path: /h
    capability: a:b
    protocol: mcp
    rpc: {"resources/read": "a:{name}", "tools/call x": "a:{name}", "tools/list x": "a:b", "x": "A:b", "y": "", "tools/call": "a{name}", "prompts/get": "{name}:a", "z": 7, "ping ": "a:b", "prompts/get a": "a:{name}b"}
  - {path: /i, capability: a:b, protocol: a2a, rpc: {"tools/call": "a:{name}", "x": "a:b", "x": "a:c"}}
`))
	var problems route.Problems
	require.ErrorAs(t, err, &problems)
	const syntax = ": must be a capability, after which {name} may stand: "
	for _, want := range []string{
		"routes[0].rpc: needs protocol", "routes[1].protocol: must be mcp or a2a", "routes[2].capability: must not be public: ", "routes[3].methods: PUT is not one of DELETE, GET, POST, which mcp has",
		"routes[4].methods: GET is not one of POST, which a2a has", "routes[4].methods: OPTIONS is not one of POST", "routes[5].rpc: must be a mapping", "routes[6].rpc: must be a mapping",
		"routes[7].rpc.resources/read: names are known of tools/call and prompts/get only", "routes[7].rpc.tools/call x: has the name already", "routes[7].rpc.tools/list x: names are known of",
		"routes[7].rpc.x" + syntax, "routes[7].rpc.y" + syntax, "routes[7].rpc.tools/call" + syntax, "routes[7].rpc.prompts/get" + syntax, "routes[7].rpc.z: must be a string", "routes[7].rpc.ping : must be a method",
		"routes[7].rpc.prompts/get a" + syntax, "routes[8].rpc.tools/call: names are known of", "routes[8].rpc.x: stands twice",
	} {
		require.Contains(t, err.Error(), "\n  "+want)
	}
	require.Len(t, problems, 20, err.Error())
}
