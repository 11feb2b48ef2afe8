package httpapi_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const script = "console.log('the dashboard')\n"

var pages = fstest.MapFS{
	"index.html":          {Data: []byte(`<!doctype html><script type="module" src="./assets/app-1a2b.js"></script><link rel="stylesheet" href="./assets/app-3c4d.css">`)},
	"icon.svg":            {Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
	"assets/app-1a2b.js":  {Data: []byte(script)},
	"assets/app-3c4d.css": {Data: []byte("body{margin:0}")},
}

// browse asks as a browser does, and returns the body as it came.
func (w *world) browse(method, path string, header ...string) (*http.Response, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.address+path, nil)
	require.NoError(w.t, err)
	request.Header.Set("Accept-Encoding", "identity") // or net/http asks for gzip, and unzips
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := w.http.Do(request)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, answer.Body.Close()) }()
	body, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return answer, string(body)
}

func TestDashboard(t *testing.T) {
	w := newWorld(t, setting{pages: pages})
	const index, forever = "no-cache", "public, max-age=31536000, immutable"
	for _, fact := range []struct {
		path           string
		status         int
		media, caching string
	}{
		{"/dashboard", 200, "text/html; charset=utf-8", index},
		{"/dashboard/", 200, "text/html; charset=utf-8", index},
		{"/dashboard/agents/3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11?tab=audit", 200, "text/html; charset=utf-8", index},
		{"/dashboard/..%2f..%2fgo.mod", 200, "text/html; charset=utf-8", index}, // a page like any other
		{"/dashboard/index.html", 200, "text/html; charset=utf-8", index},
		{"/dashboard/icon.svg", 200, "image/svg+xml", index},
		{"/dashboard/assets/app-1a2b.js", 200, "text/javascript; charset=utf-8", forever},
		{"/dashboard/assets/app-3c4d.css", 200, "text/css; charset=utf-8", forever},
		{"/dashboard/assets/gone-5e6f.js", 404, "application/json", "no-store"},
		{"/dashboard/assets/", 404, "application/json", "no-store"},
		{"/dashboards", 404, "application/json", "no-store"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			answer, body := w.browse(method, fact.path)
			require.Equal(t, fact.status, answer.StatusCode, "%s %s", method, fact.path)
			require.Equal(t, fact.media, answer.Header.Get("Content-Type"), "%s %s", method, fact.path)
			require.Equal(t, fact.caching, answer.Header.Get("Cache-Control"), "%s %s", method, fact.path)
			require.Equal(t, method == "HEAD", body == "", "%s %s", method, fact.path)
		}
	}
	answer, body := w.browse("GET", "/dashboard")
	require.Contains(t, body, `src="/dashboard/assets/app-1a2b.js"`)
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; " +
			"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
		"Permissions-Policy":     "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=63072000",
	} {
		require.Equal(t, value, answer.Header.Get(name))
	}
	answer, _ = w.browse("POST", "/dashboard/agents")
	require.Equal(t, 405, answer.StatusCode)
	require.Equal(t, "GET, HEAD", answer.Header.Get("Allow"))
}

// Each coding of an asset has its own tag, and who has it is not sent it again.
func TestDashboardIsSentOnceAndZipped(t *testing.T) {
	w := newWorld(t, setting{pages: pages})
	const path = "/dashboard/assets/app-1a2b.js"
	plain, body := w.browse("GET", path)
	require.Equal(t, script, body)
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	zipped, body := w.browse("GET", path, "Accept-Encoding", "gzip, deflate, br")
	require.Equal(t, "gzip", zipped.Header.Get("Content-Encoding"))
	reader, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	unzipped, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, script, string(unzipped))
	require.NotEqual(t, plain.Header.Get("ETag"), zipped.Header.Get("ETag"))
	for _, answer := range []*http.Response{plain, zipped} {
		require.Equal(t, "Accept-Encoding", answer.Header.Get("Vary"))
		again, body := w.browse("GET", path, "Accept-Encoding", answer.Request.Header.Get("Accept-Encoding"), "If-None-Match", answer.Header.Get("ETag"))
		require.Equal(t, 304, again.StatusCode)
		require.Empty(t, body)
		require.Empty(t, again.Header.Get("Content-Encoding"))
		require.Equal(t, plain.Header.Get("Cache-Control"), again.Header.Get("Cache-Control"))
	}
}

func TestDashboardBelowTheIssuersPath(t *testing.T) {
	w := newWorld(t, setting{issuer: "https://example.com/tenants/idp", pages: pages})
	for _, path := range []string{"/dashboard/agents", "/tenants/idp/dashboard", "/tenants/idp/dashboard/agents"} {
		answer, body := w.browse("GET", path)
		require.Equal(t, 200, answer.StatusCode, path)
		require.Contains(t, body, `src="/tenants/idp/dashboard/assets/app-1a2b.js"`, path)
	}
	for _, path := range []string{"/", "/tenants/idp", "/tenants/idp/"} {
		for _, method := range []string{"GET", "HEAD"} {
			answer, body := w.browse(method, path)
			require.Equal(t, 302, answer.StatusCode, path)
			require.Equal(t, "/tenants/idp/dashboard", answer.Header.Get("Location"), path)
			require.Empty(t, body, path)
		}
	}
	answer, body := w.browse("GET", "/tenants/idp/dashboard/assets/app-1a2b.js")
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, script, body)
}

func TestDashboardTurnedOff(t *testing.T) {
	w := newWorld(t, setting{})
	for _, path := range []string{"/", "/dashboard", "/dashboard/", "/dashboard/assets/app-1a2b.js"} {
		answer, body := w.browse("GET", path)
		require.Equal(t, 404, answer.StatusCode, path)
		require.Contains(t, body, `"code":"NOT_FOUND"`, path)
	}
}
