package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func TestUpstreamConnectionsAreReused(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) { o.Upstream.KeepAlive = time.Minute })
	good := tokens(t).good(t)
	for range 10 {
		require.Equal(t, 200, w.get("/notes", good).StatusCode)
		require.Equal(t, "abc", w.raw(request("POST", "/notes", good, "Content-Length: 3")+"abc").body)
	}
	require.Equal(t, int64(1), opened.Load())

	// The upstream ends an idle connection: the next request does not meet it.
	server.CloseClientConnections()
	time.Sleep(50 * time.Millisecond)
	require.Equal(t, 200, w.get("/notes", good).StatusCode)
	require.Equal(t, int64(2), opened.Load())
}

// A request of which a byte went out is never sent again.
func TestNoRequestIsSentTwice(t *testing.T) {
	var requests atomic.Int64
	w := newWorld(t, scripted(t, func(_ *http.Request, conn net.Conn) {
		requests.Add(1)
		_ = conn.Close()
	}))
	good := tokens(t).good(t)
	w.refuses(w.get("/notes", good), 502, "upstream_closed")
	w.refuses(w.raw(request("POST", "/notes", good, "Content-Length: 3")+"abc"), 502, "upstream_closed")
	require.Equal(t, int64(2), requests.Load())
}

func TestUpstreamConnectionsAreBounded(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release }))
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) { o.Upstream.MaxConns, o.Upstream.Wait = 1, 50*time.Millisecond })
	first := make(chan reply, 1)
	go func() { first <- w.get("/notes", tokens(t).good(t)) }()
	<-entered
	w.refuses(w.get("/notes", tokens(t).good(t)), 503, "upstream_busy")
	close(release)
	require.Equal(t, 200, (<-first).StatusCode)
}

func TestTLSUpstream(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) { o.Upstream.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig })
	require.Equal(t, "HTTP/1.1", w.get("/notes", tokens(t).good(t)).body)
	untrusting := newWorld(t, server.URL)
	untrusting.refuses(untrusting.get("/notes", tokens(t).good(t)), 502, "upstream_unreachable")
}
