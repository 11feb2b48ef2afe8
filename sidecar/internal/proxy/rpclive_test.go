package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// Who is cut off while the message comes is refused with it.
func TestMessagesAreJudgedWhenTheyAreWhole(t *testing.T) {
	up := stdUpstream(t)
	w := rpcWorld(t, up.URL)
	body := call("x")
	conn := w.dial()
	_, err := io.WriteString(conn, request("POST", "/mcp", tokens(t).good(t, map[string]any{"scope": "mcp:*", "jti": "soon"}), "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))+body[:9])
	require.NoError(t, err)
	waitFor(t, "the first judgement", func() bool { w.decider.mu.Lock(); defer w.decider.mu.Unlock(); return len(w.decider.inputs) == 1 })
	w.revoked.set(func(r *revocations) { r.jti["soon"] = true })
	_, err = io.WriteString(conn, body[9:])
	require.NoError(t, err)
	w.refuses(read(t, bufio.NewReader(conn), "POST"), 401, "token_revoked")
	require.Empty(t, up.all())
}

// Without the body there is no judgement of a message.
func TestAskedMessagesAreRefused(t *testing.T) {
	w := rpcWorld(t, stdUpstream(t).URL)
	ask := func(method string) proxy.Verdict {
		return w.proxy.Ask(proxy.Question{Request: guard.Request{
			Method: []byte(method), Target: []byte("/mcp"), Protocol: []byte("HTTP/1.1"),
			Fields: []byte("Host: h\r\nAuthorization: Bearer " + tokens(t).scoped(t, "mcp:*") + "\r\n\r\n"),
		}})
	}
	for _, method := range []string{"POST", "GET", "DELETE"} { // a body that the proxy would refuse can follow any
		v := ask(method)
		require.False(t, v.Allowed)
		require.Equal(t, 403, v.Status)
		require.Equal(t, "rpc_body_unseen", v.Reason)
	}
}

// A live exchange is judged by what its message needs.
func TestLiveCallIsCutOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": begun\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	for _, lost := range []string{"mcp:tool/x", "mcp:use"} {
		w := rpcWorld(t, server.URL)
		conn := w.dial()
		body := call("x")
		_, err := io.WriteString(conn, request("POST", "/mcp", tokens(t).scoped(t, "mcp:*"), "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))+body)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		w.decider.set(func(in policy.Input) (policy.Decision, error) {
			return policy.Decision{Allow: in.Route.Capability != lost, Reason: "late", Revision: "rev-2"}, nil
		})
		_, err = io.ReadAll(response.Body)
		require.Error(t, err)
		waitFor(t, "the record", func() bool {
			all := w.records.all() // one may be of its start
			last := all[max(len(all)-1, 0):]
			return len(last) == 1 && last[0].Reason == "late" && last[0].Capability == lost && last[0].PolicyRevision == "rev-2"
		})
	}
}

// A table that begins to read messages ends those that went by unread.
func TestReloadReadsMessages(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	w := newWorld(t, server.URL)
	w.replace("routes: [{path: /mcp, capability: mcp:use}]")
	var open []*http.Response
	for _, method := range []string{"POST", "GET"} { // what a GET streams would go by unfiltered
		conn := w.dial()
		_, err := io.WriteString(conn, request(method, "/mcp", tokens(t).scoped(t, "mcp:*"), "Content-Length: 0"))
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		open = append(open, response)
	}
	w.replace("routes: [{path: /mcp, capability: mcp:use, protocol: mcp}]")
	for _, response := range open {
		_, err := io.ReadAll(response.Body)
		require.Error(t, err)
	}
	waitFor(t, "the records", func() bool {
		all := w.records.all()
		return len(all) == 2 && all[0].Reason == "rpc_body_unseen" && all[1].Reason == "rpc_body_unseen"
	})
}
