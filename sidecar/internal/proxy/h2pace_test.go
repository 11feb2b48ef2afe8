package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// A stream on which the upstream pauses longer than its client may take to read goes on.
func TestHTTP2PausesAreNotTheClients(t *testing.T) {
	const patience = 100 * time.Millisecond
	handler := func(w http.ResponseWriter, r *http.Request) {
		for range 2 {
			_, _ = io.WriteString(w, "event")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(5 * patience): // what is tested: that this is borne
			case <-r.Context().Done():
			}
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(plain.Close)
	for _, file := range []string{routes, over(h2cUpstream(t, handler))} {
		w, client := newSecureWorld(t, plain.URL, func(o *proxy.Options) { o.WriteTimeout = patience })
		w.replace(file)
		require.Equal(t, "eventevent", w.ask(client, "GET", "/pub/x", "", nil).body)
	}
}

// An upstream that takes its time for a body is not the client's fault, nor is one
// that wants no more of it.
func TestHTTP2BodiesWaitForTheUpstream(t *testing.T) {
	const window = 100 * time.Millisecond
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * window): // what is tested: that this is borne
		case <-r.Context().Done():
		}
		mirror(w, r)
	}
	w, client := newSecureWorld(t, "http://127.0.0.1:1", func(o *proxy.Options) { o.BodyWindow, o.MaxBody = window, 8<<20 })
	w.replace(over(h2cUpstream(t, slow)))
	require.Equal(t, 200, w.ask(client, "POST", "/notes", tokens(t).good(t), bytes.NewReader(make([]byte, 4<<20))).StatusCode)

	w, _ = newSecureWorld(t, "http://127.0.0.1:1")
	w.replace(over(framing(t, func(f *http2.Framer, id uint32, _ net.Conn) { _ = f.WriteRSTStream(id, http2.ErrCodeInternal) })))
	f := w.frames(t)
	fields, _ := f.answer(f.open(head(tokens(t).good(t), ":method", "POST", "content-length", "100"), true))
	require.Equal(t, "upstream_closed", fields.Get("x-agentidp-error"))
}

// What calls itself gRPC has a pace to keep wherever no stream bounds it.
func TestGRPCBodiesHaveAPaceTowardsHTTP1(t *testing.T) {
	up := stdUpstream(t)
	w, _ := newSecureWorld(t, up.URL, func(o *proxy.Options) { o.BodyWindow = 200 * time.Millisecond })
	f := w.frames(t)
	fields, _ := f.answer(f.open(head(tokens(t).good(t), ":method", "POST", "content-type", "application/grpc", "content-length", "100"), true))
	require.Equal(t, "4", fields.Get("grpc-status"))
	require.Equal(t, "body_timeout", fields.Get("x-agentidp-error"))
}

// A client without room for an answer holds no place for ever, asked by a stranger or not.
func TestHTTP2AnswersThatAreNotTaken(t *testing.T) {
	w, _ := newSecureWorld(t, stdUpstream(t).URL, func(o *proxy.Options) { o.WriteTimeout = 200 * time.Millisecond })
	f := w.frames(t)
	require.NoError(t, f.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	for _, token := range []string{"-", tokens(t).good(t)} {
		change := []string{}
		if token == "-" {
			change = []string{"authorization", "-"}
		}
		_, reset := f.answer(f.open(head(token, change...), false))
		require.Equal(t, http2.ErrCodeInternal, reset)
	}
	w.metric("sidecar_http2_requests 0\n")
}

// One address has no more requests under way than it may have connections.
func TestHTTP2RequestsOfOneAddressAreBounded(t *testing.T) {
	entered := make(chan struct{}, 8)
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { entered <- struct{}{}; <-r.Context().Done() }))
	t.Cleanup(plain.Close)
	w, client := newSecureWorld(t, plain.URL, func(o *proxy.Options) { o.Connections, o.MaxPerAddress = 8, 2 })
	ctx, leave := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if response, err := client.Do(w.request("GET", "/open", "", nil).WithContext(ctx)); err == nil {
				_ = response.Body.Close()
			}
		})
	}
	<-entered
	<-entered
	w.refuses(w.ask(client, "GET", "/open", "", nil), 503, "overloaded")
	leave()
	waiting.Wait()
	w.metric("sidecar_http2_requests 0\n")
}

// A filter that waits for the rest of an event keeps none back that is whole.
func TestHTTP2FilteredEventsArriveAtOnce(t *testing.T) {
	first := "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n"
	url := scripted(t, func(_ *http.Request, conn net.Conn) {
		part := first + "data: {"
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n1", len(part), part)
		_, _ = io.Copy(io.Discard, conn)
	})
	w, client := newSecureWorld(t, url)
	response, err := client.Do(w.request("GET", "/mcp", tokens(t).good(t), nil))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	got := make([]byte, len(first))
	_, err = io.ReadFull(response.Body, got)
	require.NoError(t, err)
	require.Equal(t, first, string(got))
}
