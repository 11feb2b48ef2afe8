package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// answering is an upstream that answers every request with these bytes.
func answering(t *testing.T, answer string) string {
	return scripted(t, func(_ *http.Request, conn net.Conn) { _, _ = io.WriteString(conn, answer) })
}

// B12: what is of one hop, or looks like us, ends here.
func TestB12AnswerFieldsAreFiltered(t *testing.T) {
	w := newWorld(t, answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Foo, keep-alive\r\nX-Foo: 1\r\nx_foo: 2\r\nKeep-Alive: timeout=9\r\n"+
		"X-Agent-Id: admin\r\nX_Agent_Scope: admin\r\nX-AgentIdP-Error: token_missing\r\nServer: leaky/1.0\r\nX-Request-Id: theirs\r\nUpgrade: h2c\r\n"+
		"Trailer: X-Agent-Id\r\nProxy-Authenticate: x\r\nX-Forwarded-For: admin\r\nContent-Type: a/b\r\nSet-Cookie: a=1\r\nSet-Cookie: a=2\r\nETag: \"x\"\r\n\r\nok"))
	r := w.get("/notes", tokens(t).good(t))
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "ok", r.body)
	for _, name := range []string{"Connection", "X-Foo", "X_foo", "Keep-Alive", "X-Agent-Id", "X_agent_scope", "X-AgentIdP-Error", "Server", "Upgrade", "Trailer", "Proxy-Authenticate", "X-Forwarded-For"} {
		require.NotContains(t, r.Header, http.CanonicalHeaderKey(name))
	}
	require.NotContains(t, fmt.Sprint(r.Header), "admin")
	require.Equal(t, "a/b", r.Header.Get("Content-Type"))
	require.Equal(t, []string{"a=1", "a=2"}, r.Header.Values("Set-Cookie"))
	require.Equal(t, `"x"`, r.Header.Get("ETag"))
	require.Equal(t, []string{w.records.all()[0].RequestID}, r.Header.Values("X-Request-Id"))
	require.NotEmpty(t, r.Header.Get("Date"))
}

func TestAnswersWithoutBody(t *testing.T) {
	good := tokens(t).good(t)
	for answer, want := range map[string]struct {
		method string
		status int
		length string
	}{
		"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n":             {"HEAD", 200, "1234"},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":       {"HEAD", 200, ""},
		"HTTP/1.1 204 No Content\r\n\r\n":                             {"GET", 204, ""},
		"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n":            {"GET", 304, ""},
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":                {"GET", 200, "0"},
		"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 x\r\n\r\n": {"GET", 204, ""},
	} {
		w := newWorld(t, answering(t, answer))
		conn := w.dial()
		reader := bufio.NewReader(conn)
		for range 2 { // the connection goes on, on both sides
			_, err := io.WriteString(conn, request(want.method, "/notes", good))
			require.NoError(t, err)
			r := read(t, reader, want.method)
			require.Equal(t, want.status, r.StatusCode, answer)
			require.Equal(t, want.length, r.Header.Get("Content-Length"), answer)
			require.Empty(t, r.TransferEncoding)
			require.Empty(t, r.body)
		}
		require.Len(t, w.records.all(), 2)
	}
}

// hostile upstreams: 502 or 504, at once, and nobody else's answer is touched.
func TestHostileAnswers(t *testing.T) {
	good := tokens(t).good(t)
	for answer, reason := range map[string]string{
		"garbage\r\n\r\n": "upstream_invalid",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab":                     "upstream_invalid",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":     "upstream_invalid",
		"HTTP/1.1 200 OK\nContent-Length: 1\n\na\r\n\r\n":                                         "upstream_invalid",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n":                                                   "upstream_invalid",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 32<<10) + "\r\n\r\n":                       "upstream_invalid",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxx": "upstream_upgrade",
		strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 50):                                     "upstream_invalid",
	} {
		w := newWorld(t, answering(t, answer))
		r := w.get("/notes", good)
		w.refuses(r, 502, reason)
		require.Equal(t, decision.Error, w.records.all()[0].Outcome)
		require.Equal(t, agentID, w.records.all()[0].AgentID)
	}
	hangsUp := scripted(t, func(_ *http.Request, conn net.Conn) { _ = conn.Close() })
	w := newWorld(t, hangsUp)
	w.refuses(w.get("/notes", good), 502, "upstream_closed")

	w = newWorld(t, unreachable(t))
	w.refuses(w.get("/notes", good), 502, "upstream_unreachable")
}

// T18: bytes behind an answer are never the answer to somebody else.
func TestSplitAnswersPoisonNobody(t *testing.T) {
	var connections sync.Map
	url := scripted(t, func(r *http.Request, conn net.Conn) {
		connections.Store(conn, true)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"+r.URL.RawQuery[:4]+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
	})
	w := newWorld(t, url)
	good := tokens(t).good(t)
	for i := range 5 {
		want := fmt.Sprintf("%04d", i)
		require.Equal(t, want, w.get("/notes?"+want, good).body)
	}
	count := 0
	connections.Range(func(any, any) bool { count++; return true })
	require.Equal(t, 5, count)
}

func TestSilentUpstreamIs504InTime(t *testing.T) {
	release := make(chan struct{})
	url := scripted(t, func(*http.Request, net.Conn) { <-release })
	defer close(release)
	w := newWorld(t, url, func(o *proxy.Options) { o.Upstream.AnswerTimeout = 100 * time.Millisecond })
	w.refuses(w.get("/notes", tokens(t).good(t)), 504, "upstream_timeout")
}

// A drip is not an answer: the deadline is of the whole head.
func TestDrippingHeadIs504InTime(t *testing.T) {
	url := scripted(t, func(_ *http.Request, conn net.Conn) {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Long: ")
		for err == nil {
			time.Sleep(20 * time.Millisecond)
			_, err = conn.Write([]byte("x"))
		}
	})
	w := newWorld(t, url, func(o *proxy.Options) { o.Upstream.AnswerTimeout = 100 * time.Millisecond })
	w.refuses(w.get("/notes", tokens(t).good(t)), 504, "upstream_timeout")
}

// Cut answers reach the client as cut, and the record says so.
func TestCutAnswersStayCut(t *testing.T) {
	good := tokens(t).good(t)
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
	} {
		w := newWorld(t, scripted(t, func(_ *http.Request, conn net.Conn) {
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}))
		conn := w.dial()
		_, err := io.WriteString(conn, request("GET", "/notes", good))
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.Error(t, err, "%q", answer)
		require.Equal(t, "abc", string(body))
		waitFor(t, "record", func() bool { return len(w.records.all()) == 1 })
		record := w.records.all()[0]
		require.Equal(t, decision.Error, record.Outcome)
		require.Equal(t, "upstream_aborted", record.Reason)
		require.Equal(t, int64(3), record.BytesOut)
	}
}
