package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// Whichever protocol either side speaks, messages are read and lists filtered.
func TestMessagesOverHTTP2(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		switch {
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", eventMedia)
			_, _ = io.WriteString(w, ": begun\n\n")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "data: "+listed("a", "b")+"\n\n")
		case strings.Contains(string(body), "prompts/list"):
			w.Header().Set("Content-Type", jsonMedia)
			_, _ = io.WriteString(w, "[secret]")
		case strings.Contains(string(body), "tools/list"):
			w.Header().Set("Content-Type", jsonMedia)
			_, _ = io.WriteString(w, listed("a", "b"))
		default:
			w.Header().Set("X-Length", r.Header.Get("Content-Length"))
			_, _ = w.Write(body)
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(plain.Close)
	for name, upstream := range map[string]string{"h1": `urls: ["` + plain.URL + `"]`, "h2": `protocol: h2, urls: ["` + h2cUpstream(t, handler) + `"]`} {
		t.Run(name, func(t *testing.T) {
			w, _ := newSecureWorld(t, plain.URL, func(o *proxy.Options) { o.Issuer = issuer })
			w.replace("upstreams: {api: {" + upstream + "}}\n" + `
resources: [{url: "https://api.example/mcp"}]
routes:
  - {path: /mcp, capability: "mcp:use", protocol: mcp, upstream: api}
`)
			good := tokens(t).scoped(t, "mcp:use mcp:tool/a")
			for _, http2 := range []bool{true, false} {
				client := w.client(http2)
				post := func(body io.Reader, fields ...string) reply {
					t.Helper()
					r := w.ask(client, "POST", "/mcp", good, body, append([]string{"Content-Type", "application/json"}, fields...)...)
					require.Equal(t, http2, r.ProtoMajor == 2)
					return r
				}
				list := message("tools/list", "")
				r := post(strings.NewReader(list))
				require.Equal(t, 200, r.StatusCode, r.body)
				require.Equal(t, listed("a"), r.body)
				require.Equal(t, int64(len(r.body)), r.ContentLength)
				require.Equal(t, listed("a"), post(io.MultiReader(strings.NewReader(list))).body, "of no declared length")
				require.Equal(t, call("a"), post(strings.NewReader(call("a"))).body)
				w.refuses(post(strings.NewReader(message("prompts/list", ""))), 502, "rpc_answer_invalid")
				w.refuses(post(strings.NewReader(call("b"))), 403, "capability_missing")
				w.refuses(post(strings.NewReader(strings.Repeat(" ", 1<<20)+list)), 413, "body_too_large")
				w.rejects(post(strings.NewReader("["+call("a")+"]")), "rpc_batch", -32600, nil)
				w.rejects(post(strings.NewReader(call("a")), "Mcp-Name", "b"), "rpc_header_mismatch", -32020, float64(7))
				r = w.ask(client, "GET", "/mcp", good, nil)
				require.Equal(t, 200, r.StatusCode)
				require.Equal(t, ": begun\n\ndata: "+listed("a")+"\n\n", r.body)
				r = w.ask(client, "GET", wellKnown+"/mcp", "", nil)
				require.Equal(t, 200, r.StatusCode)
				require.Contains(t, r.body, `"resource":"https://api.example/mcp"`)
				r = w.ask(client, "HEAD", wellKnown+"/mcp", "", nil)
				require.Equal(t, 200, r.StatusCode)
				require.Empty(t, r.body)
				r = w.ask(client, "POST", "/mcp", "", strings.NewReader(list))
				require.Contains(t, r.Header.Get("WWW-Authenticate"), `resource_metadata="https://api.example`+wellKnown+`/mcp"`)
			}
		})
	}
}
