package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
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

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	w = newWorld(t, "http://"+ln.Addr().String())
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
	start := time.Now()
	w.refuses(w.get("/notes", tokens(t).good(t)), 504, "upstream_timeout")
	require.Less(t, time.Since(start), 5*time.Second)
}

// A drip is not an answer: the deadline is of the whole head.
func TestDrippingHeadIs504InTime(t *testing.T) {
	url := scripted(t, func(_ *http.Request, conn net.Conn) {
		for _, c := range "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
			if _, err := conn.Write([]byte{byte(c)}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
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

// Answers of any framing arrive whole, are flushed as they come, and are
// recorded at their end.
func TestStreaming(t *testing.T) {
	good := tokens(t).good(t)
	for name, framing := range map[string][2]string{
		"chunked":     {"Transfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\nTrailer: X-Sum\r\n", "0\r\nX-Sum: 1\r\n\r\n"},
		"fixed":       {"Content-Length: 50\r\n", ""},
		"until close": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{})
			w := newWorld(t, scripted(t, func(_ *http.Request, conn net.Conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+framing[0]+"\r\n")
				for i := range 5 {
					<-next
					event := fmt.Sprintf("data: %d\n\n\n", i)
					if name == "chunked" {
						event = fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
					}
					_, _ = io.WriteString(conn, event)
				}
				_, _ = io.WriteString(conn, framing[1])
				if name == "until close" {
					_ = conn.Close()
				}
			}))
			conn := w.dial()
			_, err := io.WriteString(conn, request("GET", "/notes", good))
			require.NoError(t, err)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil) // the head comes before the first byte of the body
			require.NoError(t, err)
			for i := range 5 {
				next <- struct{}{}
				event := make([]byte, 10)
				_, err := io.ReadFull(response.Body, event)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("data: %d\n\n\n", i), string(event))
				if i < 4 {
					require.Empty(t, w.records.all())
				}
			}
			rest, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Empty(t, rest)
			require.Empty(t, response.Trailer.Get("X-Sum"))
			waitFor(t, "record", func() bool { return len(w.records.all()) == 1 })
			record := w.records.all()[0]
			require.Equal(t, decision.Allowed, record.Outcome)
			require.Equal(t, "capability", record.Reason)
			require.Equal(t, int64(50), record.BytesOut)
		})
	}
}

// A client that leaves in the middle takes its upstream connection with it.
func TestClientLeavesInTheMiddle(t *testing.T) {
	ended := make(chan error, 1)
	w := newWorld(t, scripted(t, func(_ *http.Request, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(conn, "400\r\n"+strings.Repeat("x", 1024)+"\r\n"); err != nil {
				ended <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}))
	conn := w.dial()
	_, err := io.WriteString(conn, request("GET", "/notes", tokens(t).good(t)))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 4096))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Error(t, <-ended)
	waitFor(t, "record", func() bool { return len(w.records.all()) == 1 })
	require.Equal(t, decision.Allowed, w.records.all()[0].Outcome)
	require.Positive(t, w.records.all()[0].BytesOut)
}

// Bodies of many times the buffers pass, and the memory stays flat.
func TestLargeBodiesBothWays(t *testing.T) {
	const size = 64 << 20
	discard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = io.CopyN(w, zeros{}, n)
	}))
	defer discard.Close()
	w := newWorld(t, discard.URL, func(o *proxy.Options) { o.MaxBody = 2 * size })
	client := &http.Client{}
	defer client.CloseIdleConnections()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	for _, length := range []int64{size, -1} {
		r, err := http.NewRequest(http.MethodPost, "http://"+w.addr+"/notes", io.LimitReader(zeros{}, size))
		require.NoError(t, err)
		r.ContentLength = length
		r.Header.Set("Authorization", "Bearer "+tokens(t).good(t))
		response, err := client.Do(r)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.Equal(t, int64(size), n)
		require.NoError(t, response.Body.Close())
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapSys)
	}
	require.Less(t, peak-min(peak, before.HeapSys), uint64(16<<20))
	waitFor(t, "records", func() bool { return len(w.records.all()) == 2 })
	for _, record := range w.records.all() {
		require.Equal(t, int64(size), record.BytesIn)
		require.Equal(t, int64(size), record.BytesOut)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A chunk goes on to the upstream before the next one came.
func TestRequestChunksAreFlushed(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		got <- string(first)
		rest, _ := io.ReadAll(r.Body)
		got <- string(rest)
	}))
	defer server.Close()
	w := newWorld(t, server.URL)
	conn := w.dial()
	_, err := io.WriteString(conn, request("POST", "/notes", tokens(t).good(t), "Transfer-Encoding: chunked")+"5\r\nfirst\r\n")
	require.NoError(t, err)
	require.Equal(t, "first", <-got)
	_, err = io.WriteString(conn, "6\r\nsecond\r\n0\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, "second", <-got)
	require.Equal(t, 200, read(t, bufio.NewReader(conn), "POST").StatusCode)
}

// An incomplete body is never completed towards the upstream.
func TestIncompleteBodiesStayIncomplete(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	for _, body := range []string{"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"} {
		conn := w.dial()
		head, _ := strings.CutSuffix(request("POST", "/notes", good), "\r\n")
		_, err := io.WriteString(conn, head+body)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		w.refuses(read(t, bufio.NewReader(conn), "POST"), 400, "body_incomplete")
	}
	require.Empty(t, up.all())
}

func TestBodiesPassByteForByte(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	body := "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\nepilogue"
	r := w.raw(strings.TrimSuffix(request("POST", "/notes", tokens(t).good(t), "Content-Type: multipart/form-data; boundary=b", fmt.Sprintf("Content-Length: %d", len(body))), "") + body)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, body, up.all()[0].Body)
	require.Equal(t, int64(len(body)), w.records.all()[0].BytesIn)
	r = w.raw(request("POST", "/notes", tokens(t).good(t)))
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, []string{"0"}, up.all()[1].Header.Values("Content-Length"))
}
