package guard_test

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// Every head is refused, or fasthttp (which parsed it) and net/http agree with
// the guard on method, target, host, framing and every field.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /notes?x=1 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\nAuthorization: Bearer x\r\n\r\nabc",
		"PUT /a%20b HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nConnection: close, x\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET /%2e%2e/x HTTP/1.1\r\nHost: u@a\r\nX_Agent_Id: y\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var fast fasthttp.RequestHeader
		if fast.Read(bufio.NewReaderSize(bytes.NewReader(raw), 32<<10)) != nil {
			return
		}
		var h guard.Head
		if guard.DefaultLimits.Check(guard.Request{
			Method: fast.Method(), Target: fast.RequestURI(), Protocol: fast.Protocol(), Fields: fast.RawHeaders(),
		}, &h) != nil {
			return
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(raw, "\r\n"))))
		require.NoError(t, err)
		require.Equal(t, std.Method, string(fast.Method()))
		require.Equal(t, std.RequestURI, string(fast.RequestURI()))
		require.Equal(t, std.Host, string(h.Host))
		require.Equal(t, std.URL.EscapedPath(), string(h.Path))
		require.Equal(t, std.URL.RawQuery, string(h.Query))
		if len(std.TransferEncoding) > 0 {
			require.Equal(t, guard.Chunked, h.Length)
		} else {
			require.Equal(t, std.ContentLength, h.Length)
		}
		values := 0
		for block := h.Fields; ; values++ {
			name, value, rest, why := guard.Next(block)
			require.Nil(t, why)
			if name == nil {
				break
			}
			if canonical := http.CanonicalHeaderKey(string(name)); canonical != "Host" && canonical != "Transfer-Encoding" {
				require.Contains(t, std.Header.Values(canonical), string(value))
			}
			block = rest
		}
		require.GreaterOrEqual(t, values, len(std.Header))
	})
}

// What the guard accepts as a path stays one path however often and in
// whatever order a server decodes, merges, cuts and resolves it.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "/a/%2e%2e/b", "/a;b/c", "/a//b", "/a%20b/", "/a/..%20/b", "/%41", "/a%3Fb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		var h guard.Head
		if guard.DefaultLimits.Check(guard.Request{
			Method: []byte("GET"), Target: []byte(target), Protocol: []byte("HTTP/1.1"), Fields: []byte("Host: a\r\n\r\n"),
		}, &h) != nil {
			return
		}
		var uri fasthttp.URI
		require.NoError(t, uri.Parse([]byte("a"), h.Path))
		decoded := string(uri.Path()) // decodes once, merges slashes, resolves dots
		require.Equal(t, bytes.Count(h.Path, []byte("/")), bytes.Count([]byte(decoded), []byte("/")), "%q", h.Path)
		require.NotContains(t, decoded, "\\")
		require.NotContains(t, decoded, ";")
		require.NotContains(t, decoded, "%")
		require.NotContains(t, decoded+"/", "/../")
		require.NotContains(t, decoded+"/", "/./")
	})
}
