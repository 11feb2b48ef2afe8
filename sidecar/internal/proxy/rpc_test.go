package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const rpcRoutes = `
routes:
  - path: /mcp
    capability: mcp:use
    protocol: mcp
    rpc: {"resources/read": "mcp:resources", "tools/call getWeather": "weather:read", "tools/call search": "mcp:use"}
  - {path: /shadow, capability: "mcp:use", protocol: mcp, mode: shadow}
  - {path: /a2a, capability: "a2a:use", protocol: a2a}
  - {methods: [GET], path: /open, capability: public}
`

// rpcWorld is a world with those routes.
func rpcWorld(t *testing.T, upstreamURL string, change ...func(*proxy.Options)) *world {
	t.Helper()
	table, err := route.Load([]byte(rpcRoutes))
	require.NoError(t, err)
	return newWorld(t, upstreamURL, append([]func(*proxy.Options){func(o *proxy.Options) { o.Routes = table }}, change...)...)
}

func (m *mint) scoped(t testing.TB, scope string) string {
	return m.good(t, map[string]any{"scope": scope})
}

// post sends a message.
func (w *world) post(path, token, body string, lines ...string) reply {
	w.t.Helper()
	lines = append([]string{fmt.Sprintf("Content-Length: %d", len(body))}, lines...)
	if !strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "content-type") && !strings.Contains(strings.Join(lines, "\n"), "Content_Type") {
		lines = append(lines, "Content-Type: application/json")
	}
	return w.raw(request("POST", path, token, lines...) + body)
}

func message(method, params string) string {
	if params != "" {
		params = `,"params":` + params
	}
	return `{"jsonrpc":"2.0","id":7,"method":"` + method + `"` + params + `}`
}

func call(tool string) string { return message("tools/call", `{"name":"`+tool+`"}`) }

func TestCallsNeedTheirCapabilities(t *testing.T) {
	t.Parallel()
	up := stdUpstream(t)
	w := rpcWorld(t, up.URL)
	is := func(path, scope, body, missing string) {
		t.Helper()
		before := len(up.all())
		r := w.post(path, tokens(t).scoped(t, scope), body)
		last := w.records.all()[len(w.records.all())-1]
		if missing == "" {
			require.Equal(t, 200, r.StatusCode, r.body)
			require.Equal(t, body, up.all()[before].Body, "byte for byte")
			require.Equal(t, decision.Allowed, last.Outcome)
			require.Equal(t, int64(len(body)), last.BytesIn)
			return
		}
		w.refuses(r, 403, "capability_missing")
		require.Equal(t, `Bearer realm="agentidp", error="insufficient_scope", scope="`+missing+`"`, r.Header.Get("WWW-Authenticate"))
		require.Len(t, up.all(), before)
		needs := strings.Fields(missing)
		require.Equal(t, needs[len(needs)-1], last.Capability)
	}
	// The route's is enough to use the endpoint.
	for _, body := range []string{
		message("initialize", `{"protocolVersion":"2025-11-25"}`), message("ping", ""), message("logging/setLevel", `{"level":"info"}`),
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":"s-1","result":{"action":"accept"}}`, `{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}`, call("search"),
	} {
		is("/mcp", "mcp:use", body, "")
		is("/mcp", "mcp:tool/search", body, "mcp:use")
	}
	// A tool needs its own.
	is("/mcp", "mcp:use", call("delete"), "mcp:use mcp:tool/delete")
	is("/mcp", "mcp:use mcp:tool/delete_all", call("delete"), "mcp:use mcp:tool/delete")
	is("/mcp", "mcp:use mcp:tool/delete", call("delete"), "")
	is("/mcp", "mcp:*", call("delete"), "")
	is("/mcp", "mcp:use mcp:tool", call("delete"), "mcp:use mcp:tool/delete")
	is("/mcp", "mcp:tool/delete", call("delete"), "mcp:use")
	is("/mcp", "mcp:use mcp:tool/delete", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"delete"}}`, "")
	is("/mcp", "mcp:use", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"delete"}}`, "mcp:use mcp:tool/delete")
	is("/mcp", "mcp:use mcp:tool/delete", ` {"params" : {"arguments":{"Name":"x","name":"y"},"name":"\u0064elete"},`+"\n"+`"method":"tools\/call","id":"a","jsonrpc":"2.0"} `, "")
	is("/mcp", "mcp:use weather:read", call("getWeather"), "")
	is("/mcp", "mcp:use mcp:tool/getweather", call("getWeather"), "mcp:use weather:read")
	is("/mcp", "mcp:use", message("prompts/get", `{"name":"p"}`), "mcp:use mcp:prompt/p")
	is("/mcp", "mcp:use mcp:tool/p", message("prompts/get", `{"name":"p"}`), "mcp:use mcp:prompt/p")
	// What nobody thought of is denied.
	is("/mcp", "mcp:use", message("resources/read", `{"uri":"file:///x"}`), "mcp:use mcp:resources")
	is("/mcp", "mcp:use mcp:resources", message("resources/read", `{"uri":"file:///x"}`), "")
	is("/mcp", "mcp:use mcp:resources", message("resources/subscribe", `{"uri":"file:///x"}`), "mcp:use mcp:method/resources/subscribe")
	is("/mcp", "mcp:use mcp:method/resources/subscribe", message("resources/subscribe", `{"uri":"file:///x"}`), "")

	is("/a2a", "a2a:use", message("message/send", "{}"), "a2a:use a2a:message/send")
	is("/a2a", "a2a:use a2a:message/send", message("message/send", "{}"), "")
	is("/a2a", "a2a:use a2a:message/send", message("SendMessage", "{}"), "")
	is("/a2a", "a2a:use a2a:tasks/push/set", message("tasks/pushNotificationConfig/set", "{}"), "")
	is("/a2a", "a2a:use", message("agent/getAuthenticatedExtendedCard", ""), "")
	is("/a2a", "a2a:use", message("tools/call", `{"name":"delete"}`), "a2a:use a2a:method/tools/call")

	// No capability can be named after these, and none is made up.
	for _, name := range []string{"Delete", "del ete", "", "*", "a:b", "é", strings.Repeat("x", 120), "a\\u0000", "a%2fb"} {
		w.refuses(w.post("/mcp", tokens(t).scoped(t, "mcp:* *:*"), call(name)), 403, "rpc_unnameable")
	}
	w.refuses(w.post("/mcp", tokens(t).scoped(t, "mcp:*"), message("Tools/call", `{"name":"delete"}`)), 403, "rpc_unnameable")
	w.refuses(w.post("/mcp", tokens(t).scoped(t, "mcp:*"), message("*", "")), 403, "rpc_unnameable")

	// What shadow mode would refuse passes.
	r := w.post("/shadow", tokens(t).scoped(t, "mcp:use"), call("delete"))
	require.Equal(t, 200, r.StatusCode)
	last := w.records.all()[len(w.records.all())-1]
	require.Equal(t, "shadow_capability_missing", last.Reason)
	require.Equal(t, "mcp:tool/delete", last.Capability)
}

// A policy is asked twice, so that one that never heard of messages judges them too.
func TestPolicySeesTheMessage(t *testing.T) {
	up := stdUpstream(t)
	w := rpcWorld(t, up.URL)
	require.Equal(t, 200, w.post("/mcp", tokens(t).scoped(t, "mcp:*"), call("x")).StatusCode)
	var asked []string
	for _, in := range w.decider.inputs {
		line, err := json.Marshal(in.RPC)
		require.NoError(t, err)
		asked = append(asked, in.Route.Capability+" "+string(line))
	}
	rpc := `{"protocol":"mcp","method":"tools/call","name":"x"}`
	require.Equal(t, []string{"mcp:use null", "mcp:use " + rpc, "mcp:tool/x " + rpc}, asked)
	w.decider.set(func(in policy.Input) (policy.Decision, error) {
		return policy.Decision{Allow: in.RPC == nil || in.RPC.Name != "x", Reason: "whim"}, nil
	})
	w.refuses(w.post("/mcp", tokens(t).scoped(t, "mcp:*"), call("x")), 403, "whim")
	require.Equal(t, 200, w.post("/mcp", tokens(t).scoped(t, "mcp:*"), call("y")).StatusCode)
}

// rejects asserts a refusal in the form of JSON-RPC.
func (w *world) rejects(r reply, reason string, code int, id any) {
	w.t.Helper()
	require.Equal(w.t, 400, r.StatusCode, r.body)
	require.Equal(w.t, reason, r.reason(), r.body)
	require.Equal(w.t, "application/json", r.Header.Get("Content-Type"))
	var document struct {
		JSONRPC string
		ID      any
		Error   struct {
			Code    int
			Message string
			Data    struct{ Reason, DecisionID string }
		}
	}
	require.NoError(w.t, strictJSON(r.body, &document))
	require.Equal(w.t, "2.0", document.JSONRPC)
	require.Equal(w.t, id, document.ID)
	require.Equal(w.t, code, document.Error.Code)
	require.NotEmpty(w.t, document.Error.Message)
	require.Equal(w.t, reason, document.Error.Data.Reason)
	record := w.record(document.Error.Data.DecisionID)
	require.Equal(w.t, reason, record.Reason)
	require.Equal(w.t, agentID, record.AgentID)
}

func TestMessagesAreRefused(t *testing.T) {
	up := stdUpstream(t)
	w := rpcWorld(t, up.URL)
	good := tokens(t).scoped(t, "mcp:* a2a:*")
	seven := float64(7)
	w.rejects(w.post("/mcp", good, "["+call("x")+"]"), "rpc_batch", -32600, nil)
	w.rejects(w.post("/mcp", good, "\v["+call("x")+"]"), "rpc_prefix", -32600, nil)
	w.rejects(w.post("/mcp", good, call("x")+"}"), "rpc_malformed", -32700, seven)
	w.rejects(w.post("/mcp", good, ""), "rpc_malformed", -32700, nil)
	w.rejects(w.post("/a2a", good, "["+call("x")+"]"), "rpc_batch", -32600, nil)
	w.rejects(w.post("/mcp", good, message("tools/call", `{"name":"x","Name":"y"}`)), "rpc_member_duplicate", -32600, seven)
	w.rejects(w.post("/mcp", good, message("tools/call", `{"name":7}`)), "rpc_name", -32602, seven)
	w.rejects(w.post("/mcp", good, message("tools/call", "")), "rpc_name", -32602, seven)
	w.rejects(w.post("/mcp", good, message("prompts/get", "{}")), "rpc_name", -32602, seven)
	w.rejects(w.post("/mcp", good, `{"jsonrpc":"2.0","id":"a\"b","method":"x","result":1}`), "rpc_envelope", -32600, `a"b`)
	w.rejects(w.post("/mcp", good, call("delete_all"), "Mcp-Name: safe"), "rpc_header_mismatch", -32020, seven)
	w.rejects(w.post("/mcp", good, call("x"), "Mcp-Method: tools/list"), "rpc_header_mismatch", -32020, seven)
	for _, lines := range [][]string{
		{"Mcp-Name: x", "Mcp-Name: x"}, {"Mcp-Name: x", "mcp-name: y"}, {"Mcp_Name: x"}, {"Mcp-Name: x", "Mcp.Name: y"}, {"Mcp-Method: tools/call", "MCP_METHOD: tools/list"},
		{"Mcp-Session-Id: a", "Mcp-Session-Id: b"}, {"Mcp-Session_Id: a"}, {"MCP-Protocol-Version: 1", "Mcp-Protocol-Version: 1"}, {"Mcp-Session-Id: " + strings.Repeat("x", 1025)},
		{"Content-Type: application/json", "Content_Type: text/plain"}, {"Content-Encoding: identity", "Content-Encoding: gzip"},
	} {
		w.rejects(w.post("/mcp", good, call("x"), lines...), "rpc_header_repeated", -32020, nil)
	}
	for _, media := range []string{"text/plain", "application/json; charset=utf-16", "application/json;charset=utf-8;x=y", "application/jsonrpc", "application/json, text/plain", "", "application/json;", "application/json; boundary=x"} {
		w.refuses(w.post("/mcp", good, call("x"), "Content-Type: "+media), 415, "rpc_content_type")
	}
	w.refuses(w.raw(request("POST", "/mcp", good, "Content-Length: 2")+"{}"), 415, "rpc_content_type")
	w.refuses(w.post("/mcp", good, call("x"), "Content-Encoding: gzip"), 415, "rpc_content_encoding")
	w.refuses(w.post("/mcp", good, call("x"), "Content-Encoding: "), 415, "rpc_content_encoding")
	w.refuses(w.post("/mcp", good, strings.Repeat(" ", 1<<20)+call("x")), 413, "body_too_large")
	w.refuses(w.raw(request("POST", "/mcp", good, "Content-Type: application/json", "Transfer-Encoding: chunked")+"100001\r\n"+strings.Repeat(" ", 1<<20+1)+"\r\n0\r\n\r\n"), 413, "body_too_large")
	w.refuses(w.raw(request("GET", "/mcp", good, "Content-Length: 2", "Content-Type: application/json")+"{}"), 400, "rpc_body_unexpected")
	w.refuses(w.raw(request("DELETE", "/mcp", good, "Transfer-Encoding: chunked")+"0\r\n\r\n"), 400, "rpc_body_unexpected")
	for _, query := range []string{"method=tools/call", "x=y&%6dethod=x", "x;Method=x", "params[name]=x", "+params=%7b%7d", "JSONRPC=2.0", "%zz=1"} {
		w.refuses(w.get("/mcp?"+query, good), 400, "rpc_query")
		w.refuses(w.post("/mcp?"+query, good, call("x")), 400, "rpc_query")
		w.refuses(w.post("/a2a?"+query, good, message("message/send", "{}")), 400, "rpc_query")
	}
	w.rejects(w.post("/mcp", good, call(strings.Repeat("x", 513))), "rpc_name", -32602, seven)
	w.refuses(w.raw(request("PUT", "/mcp", good, "Content-Length: 2")+"{}"), 405, "method_not_allowed")
	w.refuses(w.get("/a2a", good), 405, "method_not_allowed")
	w.refuses(w.post("/mcp", "", "["), 401, "token_missing") // before anything of the body is read
	require.Empty(t, up.all())
	w.metric(`sidecar_rejected_total{check="rpc"} `)

	for _, media := range []string{"application/json", "Application/JSON; charset=utf-8", `application/json ;charset="UTF-8"`} {
		require.Equal(t, 200, w.post("/mcp?sessionId=1&methods=2", good, call("x"), "Content-Type: "+media, "Mcp-Name: x", "mcp-method: tools/call", "Mcp-Session-Id: s", "MCP-Protocol-Version: 2025-11-25").StatusCode)
	}
	got := up.all()[0]
	require.Equal(t, []string{"s"}, got.Header["Mcp-Session-Id"])
	require.Equal(t, []string{"2025-11-25"}, got.Header["Mcp-Protocol-Version"])
	require.Equal(t, 200, w.raw(request("DELETE", "/mcp", good, "Mcp-Session-Id: s")).StatusCode)
}

// The message is forwarded with its length, however it came.
func TestMessageFraming(t *testing.T) {
	up := stdUpstream(t)
	w := rpcWorld(t, up.URL)
	good := tokens(t).scoped(t, "mcp:*")
	body := call("x")
	conn := w.dial()
	reader := bufio.NewReader(conn)
	for range 2 { // the connection goes on
		_, err := fmt.Fprintf(conn, "%s%x\r\n%s\r\n%x\r\n%s\r\n0\r\nX-Agent-Id: evil\r\n\r\n",
			request("POST", "/mcp", good, "Content-Type: application/json", "Transfer-Encoding: chunked"), 5, body[:5], len(body)-5, body[5:])
		require.NoError(t, err)
		require.Equal(t, 200, read(t, reader, "POST").StatusCode)
	}
	_, err := io.WriteString(conn, request("POST", "/mcp", good, "Content-Type: application/json", "Expect: 100-continue", fmt.Sprintf("Content-Length: %d", len(body))))
	require.NoError(t, err)
	require.Equal(t, 100, read(t, reader, "POST").StatusCode)
	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	require.Equal(t, 200, read(t, reader, "POST").StatusCode)
	for _, got := range up.all() {
		require.Equal(t, body, got.Body)
		require.Equal(t, []string{fmt.Sprint(len(body))}, got.Header["Content-Length"])
	}
	// One that ends early is none.
	cut := w.dial()
	_, err = io.WriteString(cut, request("POST", "/mcp", good, "Content-Type: application/json", "Transfer-Encoding: chunked")+fmt.Sprintf("%x\r\n%s\r\n", len(body), body))
	require.NoError(t, err)
	require.NoError(t, cut.(interface{ CloseWrite() error }).CloseWrite())
	w.refuses(read(t, bufio.NewReader(cut), "POST"), 400, "body_incomplete")
	require.Len(t, up.all(), 3)
}
