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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

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
		require.Equal(t, 200, response.StatusCode, response.Header.Get("X-AgentIdP-Error"))
		n, err := io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.Equal(t, int64(size), n)
		require.NoError(t, response.Body.Close())
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapSys)
	}
	require.Less(t, peak-min(peak, before.HeapSys), uint64(size/2), "of garbage that nobody has collected yet, too")
	waitFor(t, "records", func() bool { return len(w.records.all()) == 2 })
	for _, record := range w.records.all() {
		require.Equal(t, int64(size), record.BytesIn)
		require.Equal(t, int64(size), record.BytesOut)
	}
}

// An API may think about a long body as long as about a short one.
func TestAnAnswerToALongBodyIsAwaited(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(1500 * time.Millisecond) // longer than what is no stream takes: what is tested
	}))
	defer server.Close()
	w := newWorld(t, server.URL)
	good := tokens(t).good(t)
	require.Equal(t, 200, w.raw(request("POST", "/notes", good, "Transfer-Encoding: chunked")+"3\r\nabc\r\n0\r\n\r\n").StatusCode)
	require.Equal(t, 200, w.raw(request("POST", "/notes", good, "Content-Length: 300000")+strings.Repeat("x", 300_000)).StatusCode)
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
