package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

func TestSortedScope(t *testing.T) {
	for scope, want := range map[string]string{
		"": "", "a": "a", "a b": "a b", "b a": "a b", "b  a": "a b", " a": "a", "a a": "a a", "b a b": "a b",
	} {
		require.Equal(t, want, sortedScope(scope, strings.Fields(scope)), "%q", scope)
	}
}

// outbound makes the request that would go to the upstream for a raw one, nil
// if the guard refuses it.
func outbound(raw []byte) (*fasthttp.RequestCtx, *exchange, []byte) {
	ctx := &fasthttp.RequestCtx{}
	if ctx.Request.Header.Read(bufio.NewReaderSize(bytes.NewReader(raw), headBuffer)) != nil {
		return nil, nil, nil
	}
	h := &ctx.Request.Header
	x := &exchange{
		proto: "http", match: route.Match{Route: &route.Route{}},
		known: true, identity: Identity{Scope: []string{"a:b"}, Claims: token.Claims{Subject: "agent", Organization: "org", ClientID: "client", Scope: "a:b"}},
	}
	x.request = guard.Request{Method: h.Method(), Target: h.RequestURI(), Protocol: h.Protocol(), Fields: h.RawHeaders()}
	if guard.DefaultLimits.Check(x.request, &x.head) != nil {
		return nil, nil, nil
	}
	x.record.Method, x.record.Host, x.record.Peer, x.record.RequestID = string(h.Method()), string(x.head.Host), "192.0.2.1", "id"
	return ctx, x, x.appendHead(nil, "upstream:80")
}

// Whatever is accepted, what goes out is one request to net/http and to
// fasthttp: the judged method and target, our Host, the judged framing, one of
// each field that only we say, and nothing behind it.
func FuzzOutbound(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /n?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX_Agent_Id: evil\r\nConnection: X-Agent-Id, close\r\n\r\nabc",
		"PUT /a%20b HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nTrailer: X-Agent-Id\r\nUpgrade: h2c\r\n\r\n0\r\n\r\n",
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, b\r\n\r\n",
		"DELETE /n HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: evil\r\nForwarded: evil\r\nX.Request.Id: evil\r\nTraceparent: evil\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ctx, x, head := outbound(raw)
		if head == nil {
			return
		}
		require.True(t, bytes.HasSuffix(head, []byte("\r\n\r\n")))
		require.Equal(t, 1, bytes.Count(head, []byte("\r\n\r\n")))
		require.Equal(t, bytes.Count(head, []byte("\n")), bytes.Count(head, []byte("\r\n")))

		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		require.NoError(t, err)
		var fast fasthttp.RequestHeader
		require.NoError(t, fast.Read(bufio.NewReaderSize(bytes.NewReader(head), 64<<10)))
		require.Equal(t, string(ctx.Request.Header.Method()), std.Method)
		require.Equal(t, std.Method, string(fast.Method()))
		require.Equal(t, string(ctx.Request.Header.RequestURI()), std.RequestURI)
		require.Equal(t, std.RequestURI, string(fast.RequestURI()))
		require.Equal(t, "upstream:80", std.Host)
		require.Equal(t, "upstream:80", string(fast.Host()))
		if x.head.Length == guard.Chunked {
			require.Equal(t, []string{"chunked"}, std.TransferEncoding)
			require.Equal(t, -1, fast.ContentLength())
		} else {
			require.Empty(t, std.TransferEncoding)
			require.Equal(t, x.head.Length, std.ContentLength)
		}
		for name, want := range map[string]string{
			"X-Agent-Id": "agent", "X-Agent-Organization": "org", "X-Agent-Client-Id": "client", "X-Agent-Scope": "a:b",
			"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": x.record.Host, "X-Forwarded-Proto": "http", "X-Request-Id": "id",
		} {
			require.Equal(t, []string{want}, std.Header.Values(name))
		}
		require.Len(t, std.Header.Values("Traceparent"), 1)
		for name := range std.Header {
			switch folded := fold(name); {
			case x.head.WebSocket && (name == "Connection" || name == "Upgrade"):
				require.Len(t, std.Header[name], 1)
			case folded == "connection", folded == "upgrade", folded == "te", folded == "trailer", folded == "expect", folded == "authorization",
				folded == "forwarded", folded == "keep-alive", strings.HasPrefix(folded, "proxy-"):
				require.Fail(t, "must not go out", name)
			case strings.HasPrefix(folded, "x-agent-"), strings.HasPrefix(folded, "x-forwarded-"):
				require.Equal(t, http.CanonicalHeaderKey(folded), name, "an alias")
			}
		}
	})
}

// fold is the plainest form of what gateways do to names.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

func BenchmarkAppendHead(b *testing.B) {
	_, x, head := outbound([]byte("GET /notes/1 HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer " + strings.Repeat("a", 700) +
		"\r\nUser-Agent: bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n"))
	if head == nil {
		b.Fatal("refused")
	}
	b.ReportAllocs()
	for b.Loop() {
		head = x.appendHead(head[:0], "upstream:80")
	}
}
