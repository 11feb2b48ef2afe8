package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// framing is an upstream that answers each request over HTTP/2 with frames of a test's.
func framing(t *testing.T, answer func(framer *http2.Framer, id uint32, conn net.Conn)) string {
	t.Helper()
	return "http://" + accept(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
		framer := http2.NewFramer(conn, conn)
		if err == nil {
			err = framer.WriteSettings()
		}
		for err == nil {
			var frame http2.Frame
			frame, err = framer.ReadFrame()
			if head, is := frame.(*http2.HeadersFrame); is {
				answer(framer, head.StreamID, conn)
			}
		}
	}).String()
}

func respond(framer *http2.Framer, id uint32, end bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true})
}

// What a server says it did not process is asked of another once; nothing else is.
func TestHTTP2UnprocessedRequestsAreTriedAgain(t *testing.T) {
	for name, fact := range map[string]struct {
		refuse func(framer *http2.Framer, id uint32, conn net.Conn)
		status int
	}{
		"refused stream": {func(f *http2.Framer, id uint32, _ net.Conn) { _ = f.WriteRSTStream(id, http2.ErrCodeRefusedStream) }, 200},
		"going away":     {func(f *http2.Framer, _ uint32, _ net.Conn) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }, 200},
		"cancelled":      {func(f *http2.Framer, id uint32, _ net.Conn) { _ = f.WriteRSTStream(id, http2.ErrCodeCancel) }, 502},
		"connection cut": {func(_ *http2.Framer, _ uint32, conn net.Conn) { _ = conn.Close() }, 502},
	} {
		var asked atomic.Int64
		url := framing(t, func(f *http2.Framer, id uint32, conn net.Conn) {
			if asked.Add(1) == 1 {
				fact.refuse(f, id, conn)
				return
			}
			respond(f, id, true, ":status", "200")
		})
		w, client := newSecureWorld(t, "http://127.0.0.1:1")
		w.replace(over(url))
		r := w.ask(client, "GET", "/notes", tokens(t).good(t), nil)
		require.Equal(t, fact.status, r.StatusCode, name)
		if fact.status == 200 {
			require.EqualValues(t, 2, asked.Load(), name)
			continue
		}
		require.EqualValues(t, 1, asked.Load(), name)
		w.refuses(r, 502, "upstream_closed")
	}
}

// What an upstream may not say over HTTP/2 is not passed on.
func TestHTTP2UpstreamsThatMisbehave(t *testing.T) {
	for name, fact := range map[string]struct {
		answer func(f *http2.Framer, id uint32)
		reason string
	}{
		"two lengths": {func(f *http2.Framer, id uint32) {
			respond(f, id, true, ":status", "200", "content-length", "1", "content-length", "2")
		}, "upstream_invalid"},
		"a bad length": {func(f *http2.Framer, id uint32) { respond(f, id, true, ":status", "200", "content-length", "+1") }, "upstream_invalid"},
		"transfer-encoding": {func(f *http2.Framer, id uint32) {
			respond(f, id, false, ":status", "200", "transfer-encoding", "chunked")
		}, "upstream_invalid"},
		"no status":         {func(f *http2.Framer, id uint32) { respond(f, id, true, "x", "y") }, "upstream_closed"},
		"a status past all": {func(f *http2.Framer, id uint32) { respond(f, id, true, ":status", "999") }, "upstream_invalid"},
		"a head past bounds": {func(f *http2.Framer, id uint32) {
			respond(f, id, true, ":status", "200", "x", strings.Repeat("y", 15<<10), "z", strings.Repeat("y", 5<<10))
		}, "upstream_closed"},
		"silence": {func(*http2.Framer, uint32) {}, "upstream_timeout"},
	} {
		url := framing(t, func(f *http2.Framer, id uint32, _ net.Conn) { fact.answer(f, id) })
		w, client := newSecureWorld(t, "http://127.0.0.1:1")
		table := over(url)
		if name == "silence" {
			table = strings.Replace(table, "protocol: h2", "timeout: 200ms, protocol: h2", 1)
		}
		w.replace(table)
		r := w.ask(client, "GET", "/notes", tokens(t).good(t), nil)
		require.Equal(t, fact.reason, r.reason(), name)
	}

	// Less than was announced, and nothing more for too long.
	url := framing(t, func(f *http2.Framer, id uint32, _ net.Conn) {
		respond(f, id, false, ":status", "200", "content-length", "100")
		_ = f.WriteData(id, false, []byte("half"))
	})
	w, client := newSecureWorld(t, "http://127.0.0.1:1", func(o *proxy.Options) { o.Upstream.IdleTimeout = 200 * time.Millisecond })
	w.replace(over(url))
	for _, client := range []*http.Client{client, w.client(false)} {
		persist(t, "half of it comes", func() bool { // unless the machine makes the beginning late as well
			response, err := client.Do(w.request("GET", "/notes", tokens(t).good(t), nil))
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusOK {
				return false
			}
			require.Error(t, err)
			return string(body) == "half"
		})
	}
	waitFor(t, "both are recorded", func() bool {
		all := w.records.all()
		return 2 <= len(slices.DeleteFunc(all, func(r decision.Record) bool { return r.Reason != "upstream_aborted" || r.Outcome != decision.Error }))
	})
}

// An upstream is spoken to over TLS as it demands, or not at all.
func TestHTTP2UpstreamsOverTLS(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	shown := ca.Pair()
	known := func(o *proxy.Options) {
		o.Upstream.TLS = &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{shown}}
	}
	w, client := newSecureWorld(t, "http://127.0.0.1:1", known)
	w.replace(over(server.URL))
	r := w.ask(client, "POST", "/notes", tokens(t).good(t), strings.NewReader("hello"))
	require.Equal(t, 200, r.StatusCode, r.body)
	require.Equal(t, "HTTP/2.0", r.Header.Get("X-Proto"))

	old := httptest.NewUnstartedServer(http.HandlerFunc(mirror)) // no HTTP/2
	old.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair()}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	old.StartTLS()
	t.Cleanup(old.Close)
	w.replace(over(old.URL))
	w.refuses(w.ask(client, "GET", "/notes", tokens(t).good(t), nil), 502, "upstream_unreachable")

	stranger, client := newSecureWorld(t, "http://127.0.0.1:1")
	stranger.replace(over(server.URL))
	stranger.refuses(stranger.ask(client, "GET", "/notes", tokens(t).good(t), nil), 502, "upstream_unreachable")
}

// There is a bound on requests at once, on all connections together.
func TestHTTP2RequestsAreBounded(t *testing.T) {
	entered, release := make(chan struct{}, 8), make(chan struct{})
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release }))
	t.Cleanup(plain.Close)
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	w, client := newSecureWorld(t, plain.URL, func(o *proxy.Options) { o.Connections, o.MaxPerAddress = 3, 3 })
	ctx, leave := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			if response, err := client.Do(w.request("GET", "/open", "", nil).WithContext(ctx)); err == nil {
				_ = response.Body.Close()
			}
		})
	}
	for range 3 {
		<-entered
	}
	w.refuses(w.ask(client, "GET", "/open", "", nil), 503, "overloaded")
	w.metric("sidecar_http2_requests 3\n")
	leave()
	waiting.Wait()
}

// A defect of ours, and a log that is full, are answered as ever.
func TestHTTP2DefectsAreAnswered(t *testing.T) {
	w, client := newSecureWorld(t, stdUpstream(t).URL)
	w.decider.set(func(policy.Input) (policy.Decision, error) { panic("defect") })
	w.refuses(w.ask(client, "GET", "/notes", tokens(t).good(t), nil), 500, "internal")
	require.Contains(t, w.logs.String(), `"panic":"defect"`)
	w.decider.set(nil)
	w.records.set(true, false)
	w.refuses(w.ask(client, "GET", "/notes", tokens(t).good(t), nil), 503, "audit_unavailable")
	w.records.set(false, true)
	r := w.ask(client, "GET", "/notes", tokens(t).good(t), nil)
	require.Equal(t, "audit_unavailable", r.reason())
	w.records.set(false, false)
	require.Equal(t, 200, w.ask(client, "GET", "/notes", tokens(t).good(t), nil).StatusCode)
}

// A connection with requests under way is told with GOAWAY to take no more.
func TestHTTP2GoAway(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-release }))
	t.Cleanup(plain.Close)
	w, _ := newSecureWorld(t, plain.URL)
	f := w.frames(t)
	id := f.open(head(tokens(t).good(t)), false)
	<-entered
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	told := false
	for released := false; ; {
		frame, err := f.framer.ReadFrame()
		if err != nil {
			break
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			require.Equal(t, http2.ErrCodeNo, frame.ErrCode)
			if told = true; !released {
				released = true
				close(release)
			}
		case *http2.MetaHeadersFrame:
			require.Equal(t, id, frame.StreamID)
			require.Equal(t, "200", frame.PseudoValue("status"))
			require.True(t, told)
		}
	}
	require.True(t, told)
	<-stopped
	require.Len(t, w.records.all(), 1)
}
