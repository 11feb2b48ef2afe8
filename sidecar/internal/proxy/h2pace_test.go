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
		persist(t, "it goes on", func() bool { // unless the machine pauses as well
			response, err := client.Do(w.request("GET", "/pub/x", "", nil))
			if err != nil {
				return false
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return err == nil && string(body) == "eventevent"
		})
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
	persist(t, "it is borne", func() bool { // unless the client pauses as well
		response, err := client.Do(w.request("POST", "/notes", tokens(t).good(t), bytes.NewReader(make([]byte, 4<<20))))
		if err != nil {
			return false
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err == nil && response.StatusCode == http.StatusOK
	})

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
	t.Parallel()
	w, _ := newSecureWorld(t, stdUpstream(t).URL, func(o *proxy.Options) { o.WriteTimeout = 3 * time.Second }) // the connection's too
	f := w.frames(t)
	require.NoError(t, f.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	f.open(head("-", "authorization", "-"), false)
	f.open(head(tokens(t).good(t)), false)
	for range 2 { // in whatever order
		require.Equal(t, http2.ErrCodeInternal, f.reset())
	}
	w.metric("sidecar_http2_requests 0\n")
}

// Answers that wait for room at their client count as requests under way, however
// small they are, and whether they came whole or in pieces.
func TestHTTP2AnswersThatAreNotTakenAreBounded(t *testing.T) {
	small := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pub/pieces" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, "small")
	}
	plain := httptest.NewServer(http.HandlerFunc(small))
	t.Cleanup(plain.Close)
	for _, file := range []string{routes, over(h2cUpstream(t, small))} {
		for _, path := range []string{"/pub/whole", "/pub/pieces"} {
			w, _ := newSecureWorld(t, plain.URL, func(o *proxy.Options) { o.Connections, o.MaxPerAddress = 8, 2 })
			w.replace(file)
			f := w.frames(t)
			require.NoError(t, f.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
			for range 2 {
				f.open(head("", ":path", path, "authorization", "-"), false)
			}
			w.metric("sidecar_http2_requests 2\n")
			third := f.open(head("", ":path", path, "authorization", "-"), false)
			require.NoError(t, f.framer.WriteWindowUpdate(third, 1<<16))
			fields, _ := f.answer(third)
			require.Equal(t, "overloaded", fields.Get("x-agentidp-error"))
			require.NoError(t, f.conn.Close())
			w.metric("sidecar_http2_requests 0\n")
		}
	}
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
