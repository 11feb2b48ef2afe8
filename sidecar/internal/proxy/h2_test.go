package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// newSecureWorld is a world whose clients speak TLS; the client given speaks HTTP/2.
func newSecureWorld(t *testing.T, upstreamURL string, change ...func(*proxy.Options)) (*world, *http.Client) {
	t.Helper()
	ca := tlstest.NewAuthority(t)
	w := newWorld(t, upstreamURL, append(change, func(o *proxy.Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair()}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	})...)
	w.trust = &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}
	client := w.client(true)
	return w, client
}

// client speaks HTTP/2, or HTTP/1.1, over TLS.
func (w *world) client(http2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{TLSClientConfig: w.trust.Clone(), Protocols: &protocols, DisableCompression: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// ask sends one request to the world and reads the answer.
func (w *world) ask(client *http.Client, method, path, token string, body io.Reader, fields ...string) reply {
	w.t.Helper()
	response, err := client.Do(w.request(method, path, token, body, fields...))
	require.NoError(w.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return reply{response, string(content)}
}

func (w *world) request(method, path, token string, body io.Reader, fields ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, "https://"+w.addr+path, body)
	require.NoError(w.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// h2cUpstream is an API that speaks HTTP/2 without TLS, and nothing else.
func h2cUpstream(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// over are the routes of the world to an upstream that speaks HTTP/2.
func over(urls ...string) string {
	return fmt.Sprintf("upstreams: {api: {protocol: h2, urls: ['%s']}}\n", strings.Join(urls, "','")) + `
routes:
  - {methods: [GET, HEAD], path: /notes, capability: notes:read, upstream: api}
  - {methods: [POST, PUT], path: /notes, capability: notes:write, upstream: api}
  - {methods: [GET, POST], path: /open, capability: public, upstream: api}
  - {methods: [GET], path: "/pub/**", capability: public, upstream: api}
  - {methods: [POST], path: "/test.Echo/**", capability: notes:write, upstream: api}
  - {methods: [POST], path: "/test.Secret/**", capability: secret:read, upstream: api}
`
}

// mirror answers what it got.
func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-Proto", r.Proto)
	w.Header().Set("X-Agent-Id", "forged")
	w.Header().Set("Server", "hidden")
	fmt.Fprintf(w, "%s %s %s %v %s", r.Method, r.RequestURI, r.Host, r.Header, body)
}

// Whichever protocol either side speaks, the same is judged, forwarded, answered and recorded.
func TestProtocolsMix(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(mirror))
	t.Cleanup(plain.Close)
	for upstream, speaks := range map[string]string{plain.URL: "HTTP/1.1", h2cUpstream(t, mirror): "HTTP/2.0"} {
		w, _ := newSecureWorld(t, plain.URL)
		if speaks == "HTTP/2.0" {
			w.replace(over(upstream))
		}
		good := tokens(t).good(t)
		for _, http2 := range []bool{true, false} {
			client := w.client(http2)
			r := w.ask(client, "POST", "/notes?a=%41&b", good, strings.NewReader("hello"),
				"X-Agent-Id", "me", "X-Forwarded-For", "1.2.3.4", "Cookie", "a=b", "Custom_Name", "v", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			require.Equal(t, 200, r.StatusCode, r.body)
			require.Equal(t, http2, r.ProtoMajor == 2)
			require.Equal(t, speaks, r.Header.Get("X-Proto"))
			require.Empty(t, r.Header.Get("Server"))
			require.Empty(t, r.Header.Get("X-Agent-Id"))
			require.NotEmpty(t, r.Header.Get("X-Request-Id"))
			require.True(t, strings.HasPrefix(r.body, "POST /notes?a=%41&b "+strings.TrimPrefix(upstream, "http://")), r.body)
			for _, part := range []string{" hello", "X-Agent-Id:[" + agentID + "]", "X-Agent-Scope:[notes:read notes:write]", "X-Forwarded-For:[127.0.0.1]", "X-Forwarded-Proto:[https]",
				"X-Forwarded-Host:[" + w.addr, "Cookie:[a=b]", "Custom_name:[v]", "Traceparent:[00-0af7651916cd43dd8448eb211c80319c-"} {
				require.Contains(t, strings.ReplaceAll(r.body, "Custom_Name", "Custom_name"), part)
			}
			require.NotContains(t, r.body, good)
			require.NotContains(t, r.body, "b7ad6b7169203331")

			chunked := w.ask(client, "POST", "/notes", good, io.MultiReader(strings.NewReader("of no length")))
			require.Contains(t, chunked.body, " of no length")
			empty := w.ask(client, "GET", "/notes?", good, nil)
			require.True(t, strings.HasPrefix(empty.body, "GET /notes? "), empty.body)

			w.refuses(w.ask(client, "GET", "/notes", "", nil), 401, "token_missing")
			w.refuses(w.ask(client, "POST", "/notes", "", strings.NewReader(strings.Repeat("unread", 1<<15))), 401, "token_missing")
			w.refuses(w.ask(client, "GET", "/nothing", good, nil), 403, "no_route")
			w.refuses(w.ask(client, "GET", "/pub//x", good, nil), 400, "path_empty_segment")
			w.refuses(w.ask(client, "TRACE", "/notes", good, nil), 405, "method_not_allowed")
		}
		waitFor(t, "all is recorded", func() bool { return len(w.records.all()) == 16 })
		first := w.records.all()[0]
		require.Equal(t, decision.Allowed, first.Outcome)
		require.EqualValues(t, 5, first.BytesIn)
		require.Positive(t, first.BytesOut)
		require.Equal(t, w.addr, first.Host)
		w.metric("sidecar_http2_requests 0\n")
	}
}

// Answers without a body, and those of a known length, keep their head.
func TestHTTP2Heads(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/pub/204":
			w.WriteHeader(http.StatusNoContent)
		case "/pub/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		case "/pub/untyped":
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		case "/pub/empty":
		default:
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "hello")
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(plain.Close)
	for _, file := range []string{routes, over(h2cUpstream(t, handler))} {
		w, client := newSecureWorld(t, plain.URL)
		w.replace(strings.ReplaceAll(file, "[GET]", "[GET, HEAD]"))
		for path, status := range map[string]int{"/pub/204": 204, "/pub/304": 304, "/pub/empty": 200} {
			r := w.ask(client, "GET", path, "", nil)
			require.Equal(t, status, r.StatusCode)
			require.Empty(t, r.body)
		}
		r := w.ask(client, "GET", "/pub/x", "", nil)
		require.Equal(t, 418, r.StatusCode)
		require.Equal(t, "hello", r.body)
		require.EqualValues(t, 5, r.ContentLength)
		r = w.ask(client, "HEAD", "/pub/x", "", nil)
		require.EqualValues(t, 5, r.ContentLength)
		require.NotContains(t, w.ask(client, "GET", "/pub/untyped", "", nil).Header, "Content-Type")
		require.Equal(t, "hello", w.ask(w.client(false), "GET", "/pub/x", "", nil).body)
	}
}

// An expectation is met when the body is asked for, and not before the judgement.
func TestHTTP2Expectation(t *testing.T) {
	up := stdUpstream(t)
	w, client := newSecureWorld(t, up.URL)
	client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	var continued atomic.Int64
	trace := &httptrace.ClientTrace{Got100Continue: func() { continued.Add(1) }}
	send := func(token, expectation string) reply {
		r := w.request("POST", "/notes", token, strings.NewReader("hello"), "Expect", expectation)
		response, err := client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return reply{response, string(body)}
	}
	w.refuses(send("", "100-continue"), 401, "token_missing")
	require.Zero(t, continued.Load())
	require.Equal(t, 200, send(tokens(t).good(t), "100-continue").StatusCode)
	require.EqualValues(t, 1, continued.Load())
	require.Equal(t, "hello", up.all()[0].Body)
	w.refuses(send(tokens(t).good(t), "miracles"), 417, "expectation_failed")
}
