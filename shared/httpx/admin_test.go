package httpx_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx"
)

func TestAdmin(t *testing.T) {
	ready := 503
	r := start(t, httpx.Options{Handler: httpx.AdminHandler(httpx.AdminOptions{
		Health: func(ctx context.Context) (int, any) {
			_, limited := ctx.Deadline()
			return 200, map[string]any{"status": "degraded", "limited": limited}
		},
		Live:         func(context.Context) (int, any) { return 200, map[string]string{"status": "ok"} },
		Ready:        func(context.Context) (int, any) { return ready, map[string]string{"status": "starting"} },
		WriteMetrics: func(w io.Writer) { _, _ = io.WriteString(w, "idp_up 1\n") },
		Profiles:     true,
	})}, httpx.ListenOptions{})
	get := func(method, path string) (*http.Response, string) {
		request, err := http.NewRequest(method, "http://"+r.addr+path, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-store", response.Header.Get("Cache-Control"), path)
		return response, string(body)
	}
	is := func(method, path string, status int, want string) *http.Response {
		t.Helper()
		response, body := get(method, path)
		require.Equal(t, status, response.StatusCode, path)
		require.Contains(t, body, want, path)
		return response
	}
	is("GET", "/health", 200, `{"limited":true,"status":"degraded"}`)
	is("GET", "/health/live", 200, `{"status":"ok"}`)
	is("GET", "/ready", 503, `{"status":"starting"}`)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", is("GET", "/metrics", 200, "idp_up 1\n").Header.Get("Content-Type"))
	is("HEAD", "/health", 200, "")
	is("GET", "/debug/pprof/", 200, "goroutine")
	is("GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile:")
	for _, profile := range []string{"heap", "allocs", "mutex", "block", "profile?seconds=1"} {
		is("GET", "/debug/pprof/"+profile, 200, "\x1f\x8b") // gzip
	}
	is("GET", "/", 404, "NOT_FOUND")
	is("GET", "/healthz", 404, "NOT_FOUND")
	is("GET", "/health/", 404, "NOT_FOUND")
	is("GET", "/debug/pprofx", 404, "NOT_FOUND")
	require.Equal(t, "GET, HEAD", is("POST", "/metrics", 405, "METHOD_NOT_ALLOWED").Header.Get("Allow"))
	http.DefaultClient.CloseIdleConnections()

	bare := start(t, httpx.Options{Handler: httpx.AdminHandler(httpx.AdminOptions{})}, httpx.ListenOptions{})
	for _, path := range []string{"/health", "/ready", "/metrics", "/debug/pprof", "/debug/pprof/", "/debug/pprof/heap"} {
		require.Equal(t, 404, bare.raw(t, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n").status)
	}
}
