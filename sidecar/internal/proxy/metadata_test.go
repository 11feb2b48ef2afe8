package proxy_test

import (
	"bufio"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const resourceRoutes = `
resources:
  - {url: "https://notes.example/mcp", name: "Notes \"of\" ours"}
  - {url: "https://notes.example/quiet", scopes: []}
  - {url: "https://notes.example/all", scopes: ["mcp:use", "mcp:tool/a"]}
routes:
  - {path: /mcp, capability: "mcp:use", protocol: mcp, rpc: {"resources/read": "mcp:resources", "tools/call getWeather": "weather:read"}}
  - {methods: [GET], path: /mcp/notes, capability: notes:read}
  - {methods: [GET], path: /mcp/open, capability: public}
  - {path: /quiet, capability: "mcp:use", protocol: mcp}
  - {path: /all, capability: "mcp:use", protocol: mcp}
  - {methods: [GET], path: /mcpx, capability: notes:read}
  - {methods: [GET], path: /open, capability: public}
`

const wellKnown = "/.well-known/oauth-protected-resource"

func resourceWorld(t *testing.T, upstreamURL string) *world {
	t.Helper()
	table, err := route.Load([]byte(resourceRoutes))
	require.NoError(t, err)
	return newWorld(t, upstreamURL, func(o *proxy.Options) { o.Routes, o.Issuer = table, issuer })
}

func TestResourceMetadata(t *testing.T) {
	up := stdUpstream(t)
	w := resourceWorld(t, up.URL)
	is := func(path, document string) {
		t.Helper()
		r := w.get(wellKnown+path, "")
		require.Equal(t, 200, r.StatusCode)
		require.JSONEq(t, document, r.body)
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=300", r.Header.Get("Cache-Control"))
		require.Empty(t, r.reason())
		all := w.records.all()
		last := all[len(all)-1]
		require.Equal(t, decision.Allowed, last.Outcome)
		require.Equal(t, "public", last.Reason)
		require.Equal(t, 200, last.Status)
		require.Equal(t, wellKnown+path, last.RouteID)
	}
	is("/mcp", `{"resource":"https://notes.example/mcp","authorization_servers":["`+issuer+`"],"bearer_methods_supported":["header"],
		"scopes_supported":["mcp:resources","mcp:use","notes:read","weather:read"],"resource_name":"Notes \"of\" ours"}`)
	is("/quiet", `{"resource":"https://notes.example/quiet","authorization_servers":["`+issuer+`"],"bearer_methods_supported":["header"]}`)
	is("/all", `{"resource":"https://notes.example/all","authorization_servers":["`+issuer+`"],"bearer_methods_supported":["header"],"scopes_supported":["mcp:tool/a","mcp:use"]}`)

	conn := w.dial()
	reader := bufio.NewReader(conn)
	_, err := io.WriteString(conn, request("HEAD", wellKnown+"/mcp?x=y", "a bad one")+request("GET", wellKnown+"/mcp?x=y", ""))
	require.NoError(t, err)
	head, body := read(t, reader, "HEAD"), read(t, reader, "GET")
	require.Equal(t, 200, head.StatusCode)
	require.Empty(t, head.body)
	require.Equal(t, head.ContentLength, int64(len(body.body)))

	w.refuses(w.raw(request("POST", wellKnown+"/mcp", "", "Content-Length: 0")), 405, "method_not_allowed")
	w.refuses(w.get(wellKnown, ""), 401, "token_missing")
	w.refuses(w.get(wellKnown+"/mcpx", ""), 401, "token_missing")
	w.refuses(w.get(wellKnown+"/mcp/notes", ""), 401, "token_missing")
	require.Empty(t, up.all())

	// A table with resources needs to know who issues tokens for them.
	plain := newWorld(t, up.URL)
	table, err := route.Load([]byte(resourceRoutes))
	require.NoError(t, err)
	require.ErrorContains(t, plain.proxy.Replace(table), "Issuer")
}

func TestChallengesNameTheMetadata(t *testing.T) {
	w := resourceWorld(t, stdUpstream(t).URL)
	is := func(r reply, status int, challenge string) {
		t.Helper()
		require.Equal(t, status, r.StatusCode, r.body)
		require.Equal(t, challenge, r.Header.Get("WWW-Authenticate"))
	}
	const bearer, invalid = `Bearer realm="agentidp"`, `, error="invalid_token", error_description="the access token is not usable"`
	at := func(path string) string { return `, resource_metadata="https://notes.example` + wellKnown + path + `"` }
	is(w.get("/mcp", ""), 401, bearer+at("/mcp")+`, scope="mcp:use"`)
	is(w.get("/mcp", "bad"), 401, bearer+invalid+at("/mcp")+`, scope="mcp:use"`)
	is(w.get("/mcp/notes", ""), 401, bearer+at("/mcp")+`, scope="notes:read"`)
	is(w.get("/quiet", ""), 401, bearer+at("/quiet"))
	is(w.get("/all", ""), 401, bearer+at("/all")+`, scope="mcp:tool/a mcp:use"`)
	is(w.get("/mcpx", ""), 401, bearer)
	is(w.get("/nowhere", ""), 401, bearer)

	good := tokens(t).scoped(t, "mcp:use")
	is(w.post("/mcp", good, call("x")), 403, bearer+`, error="insufficient_scope", scope="mcp:use mcp:tool/x"`+at("/mcp"))
	is(w.post("/quiet", good, call("x")), 403, bearer+`, error="insufficient_scope", scope="mcp:use mcp:tool/x"`+at("/quiet"))
	is(w.get("/mcp/notes", good), 403, bearer+`, error="insufficient_scope", scope="notes:read"`+at("/mcp"))
	is(w.get("/mcpx", good), 403, bearer+`, error="insufficient_scope", scope="notes:read"`)
	is(w.get("/nowhere", good), 403, bearer+`, error="insufficient_scope"`)
	require.Equal(t, 200, w.get("/mcp/open", "").StatusCode)
}
