package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// A defect met behind the upstream's answer costs no connection to it, and
// leaves nothing that is watched.
func TestDefectsLetGoOfTheUpstream(t *testing.T) {
	const list = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"ok"}]}}`
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(list))
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(server.Close)
	plain := server.URL
	for _, upstream := range []string{"urls: ['" + plain + "']", "protocol: h2, urls: ['" + h2cUpstream(t, handler) + "']"} {
		w, h2 := newSecureWorld(t, plain, func(o *proxy.Options) { o.Upstream.Wait, o.Upstream.KeepAlive = 10*time.Second, time.Minute })
		w.replace("upstreams: {api: {maxConnections: 1, " + upstream + "}}\n" + `
routes:
  - {path: /mcp, capability: notes:read, protocol: mcp, upstream: api, rpc: {"tools/call ok": "notes:read"}}
`)
		call := func(client *http.Client) reply {
			return w.ask(client, "POST", "/mcp", tokens(t).good(t), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
				"Content-Type", "application/json")
		}
		for _, client := range []*http.Client{h2, w.client(false)} {
			w.decider.set(func(in policy.Input) (policy.Decision, error) {
				if in.RPC != nil && in.RPC.Method == "tools/call" {
					panic("defect")
				}
				return policy.Decision{Allow: true, Reason: policy.ReasonCapability}, nil
			})
			for range 3 {
				w.refuses(call(client), 500, "internal")
			}
			w.metric("sidecar_streams_open 0\n")
			w.decider.set(nil)
			r := call(client)
			require.Equal(t, 200, r.StatusCode, r.body)
			require.JSONEq(t, list, r.body)
		}
	}
}
