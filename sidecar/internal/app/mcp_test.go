package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

const mcpRoutes = `
resources: [{url: "https://notes.example/mcp", scopes: []}]
routes: [{path: /mcp, capability: "mcp:use", protocol: mcp}]
`

// The whole way of a tool call: metadata of the issuer in the settings, scopes of
// the IdP, its policy, its audit log.
func TestMCP(t *testing.T) {
	idp := idptest.Start(t)
	s := newStage(t, idp, func(c *app.Config) { c.Routes = writeFile(t, "routes.yaml", mcpRoutes) }).start()
	r := s.get("/.well-known/oauth-protected-resource/mcp", "")
	s.is(r, 200, "")
	require.JSONEq(t, `{"resource":"https://notes.example/mcp","authorization_servers":["`+idp.URL+`"],"bearer_methods_supported":["header"]}`, r.body)

	token := idp.Token(idp.Register("caller@example.com", "mcp:use", "mcp:tool/echo"), audience)
	call := func(body string) reply {
		request, err := http.NewRequest(http.MethodPost, "http://"+s.app.Addr().String()+"/mcp", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := s.http.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return reply{status: response.StatusCode, reason: response.Header.Get("X-AgentIdP-Error"), header: response.Header}
	}
	s.is(call(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`), 200, "")
	r = call(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all"}}`)
	s.is(r, 403, "capability_missing")
	require.Contains(t, r.header.Get("WWW-Authenticate"), `scope="mcp:use mcp:tool/delete_all", resource_metadata="https://notes.example/.well-known/oauth-protected-resource/mcp"`)
	s.is(call("["), 400, "rpc_batch")

	s.shipped()
	var refused []string
	for _, d := range s.decisions() {
		if d.Action == "decision.denied" {
			refused = append(refused, d.Reason)
		}
	}
	require.ElementsMatch(t, []string{"capability_missing", "rpc_batch"}, refused)
}
