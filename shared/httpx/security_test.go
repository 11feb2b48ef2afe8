package httpx_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/httpx"
)

var wantSecurity = map[string]string{
	"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
}

// Every answer has them, those that no handler gave too.
func TestSecurityHeaders(t *testing.T) {
	r := start(t, httpx.Options{MaxHead: 4 << 10, Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/panic" {
			panic("no")
		}
		httpx.WriteJSON(ctx, 200, "x")
	}}, httpx.ListenOptions{})
	for name, request := range map[string]string{
		"good": plain, "panic": "GET /panic HTTP/1.1\r\nHost: h\r\n\r\n", "framing": "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"malformed": "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "too large": "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n",
	} {
		a := r.raw(t, request)
		for header, value := range wantSecurity {
			require.Equal(t, []string{value}, a.header.Values(header), "%s: %s", name, header)
		}
		require.Empty(t, a.header.Values("Server"), name)
		require.Empty(t, a.header.Values("Strict-Transport-Security"), name)
	}
	r = start(t, httpx.Options{Handler: func(*fasthttp.RequestCtx) {}}, httpx.ListenOptions{MaxPerAddress: 1})
	held := r.dial(t)
	_, err := io.WriteString(held, plain)
	require.NoError(t, err)
	require.Equal(t, 200, read(t, held).status)
	a := r.raw(t, plain)
	require.Equal(t, 429, a.status)
	for header, value := range wantSecurity {
		require.Equal(t, []string{value}, a.header.Values(header), header)
	}
}

func TestSecurityHeadersKeepWhatIsThere(t *testing.T) {
	var header fasthttp.ResponseHeader
	header.Set("cache-control", "public, max-age=300")
	header.Set("Content-Security-Policy", "default-src 'self'")
	httpx.SetSecurityHeaders(&header)
	require.Equal(t, "public, max-age=300", string(header.Peek("Cache-Control")))
	require.Equal(t, "default-src 'self'", string(header.Peek("Content-Security-Policy")))
	require.Equal(t, "DENY", string(header.Peek("X-Frame-Options")))
	alloctest.Zero(t, func() {
		header.Reset()
		httpx.SetSecurityHeaders(&header)
	})
}
