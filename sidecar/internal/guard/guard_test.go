package guard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

const host = "Host: notes.example\r\n"

func check(line, fields string) (guard.Head, *guard.Refusal) {
	parts := strings.SplitN(line, " ", 3)
	var h guard.Head
	why := guard.DefaultLimits.Check(guard.Request{
		Method: []byte(parts[0]), Target: []byte(parts[1]), Protocol: []byte(parts[2]), Fields: []byte(fields + "\r\n"),
	}, &h)
	return h, why
}

func TestAccepts(t *testing.T) {
	for _, target := range []string{
		"/", "/notes", "/notes/", "/notes/1?x=1", "/a.b/c-d_e~f", "/notes:search", "/a%20b", "/%3Cx%3E", "/foo%40example.com", "/c%23",
		"/what%3F", "/.well-known/x", "/..a", "/a..", "/?x=://", "/x?y=%2e%2e/../;\\[]{}|^`\"<>", "/a?", "/!$&'()*+,=:@",
	} {
		h, why := check("GET "+target+" HTTP/1.1", host)
		require.Nil(t, why, target)
		path, query, found := strings.Cut(target, "?")
		require.Equal(t, path, string(h.Path))
		require.Equal(t, query, string(h.Query))
		require.Equal(t, found, h.Query != nil)
		require.False(t, h.HasBody())
	}
	for _, name := range []string{"a", "a:80", "127.0.0.1:8081", "[::1]", "[::1]:443", "UPPER_case-1.example."} {
		h, why := check("GET / HTTP/1.1", "Host: "+name+"\r\n")
		require.Nil(t, why, name)
		require.Equal(t, name, string(h.Host))
	}
}

func TestHeadSaysWhatItRead(t *testing.T) {
	h, why := check("POST /n HTTP/1.1", host+"content-length:  12 \r\nAUTHORIZATION: Bearer x\r\nexpect: 100-Continue\r\n"+
		"X-Request-Id: r1\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nx-forwarded-proto: https\r\ntraceparent: t\r\nConnection: Keep-Alive,  cloSe\r\n")
	require.Nil(t, why)
	require.Equal(t, int64(12), h.Length)
	require.True(t, h.HasBody())
	require.True(t, h.Expect)
	require.True(t, h.Closes())
	require.Equal(t, "Bearer x", string(h.Authorization))
	require.Equal(t, "r1", string(h.RequestID))
	require.Equal(t, "2.2.2.2, 3.3.3.3", string(h.ForwardedFor))
	require.Equal(t, "https", string(h.ForwardedProto))
	require.Equal(t, "t", string(h.Traceparent))

	h, why = check("POST /n HTTP/1.1", host+"Transfer-Encoding: Chunked\r\nAuthorization:\r\n")
	require.Nil(t, why)
	require.Equal(t, guard.Chunked, h.Length)
	require.NotNil(t, h.Authorization)
	require.Empty(t, h.Authorization)
	require.False(t, h.Closes())
}

func TestRefuses(t *testing.T) {
	refused := func(line, fields string, status int, reason string) {
		t.Helper()
		_, why := check(line, fields)
		require.NotNil(t, why, "%q %q", line, fields)
		require.Equal(t, reason, why.Reason, "%q %q", line, fields)
		require.Equal(t, status, why.Status, "%q %q", line, fields)
		require.EqualError(t, why, reason)
	}
	target := func(target, reason string) {
		t.Helper()
		refused("GET "+target+" HTTP/1.1", host, 400, reason)
	}
	fields := func(fields, reason string) {
		t.Helper()
		refused("POST / HTTP/1.1", host+fields, 400, reason)
	}

	for _, version := range []string{"HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 "} {
		refused("GET / "+version, host, 505, "http_version")
	}
	for _, method := range []string{"get", "Get", "FOO!", "G3T", "-GET", strings.Repeat("A", 21)} {
		refused(method+" / HTTP/1.1", host, 405, "method_invalid")
	}
	refused("TRACE / HTTP/1.1", host, 405, "method_not_allowed")
	refused("CONNECT a:443 HTTP/1.1", host, 405, "method_not_allowed")
	refused("GET /"+strings.Repeat("a", 8<<10)+" HTTP/1.1", host, 414, "uri_too_long")

	for _, form := range []string{"*", "http://evil/x", "https://notes.example/", "a:443", "?x", "x"} {
		target(form, "target_form")
	}
	for _, p := range []string{"//admin", "///admin", "/a//b", "//", "//admin/public?x=://"} {
		target(p, "path_empty_segment")
	}
	for _, p := range []string{"/pub/../admin", "/..", "/.", "/./a", "/a/.", "/a/..", "/a/.../b", "/a/..%20/b", "/%20../x", "/%20", "/a/%20/b"} {
		target(p, "path_dot_segment")
	}
	for _, p := range []string{
		"/pub/%2e%2e/admin", "/pub/.%2E/x", "/pub/%252e%252e/admin", "/a%2fb", "/a%2Fb", "/a%5cb", "/a%00", "/a%0a", "/a%7f",
		"/a%zz", "/a%", "/a%2", "/%61dmin", "/a%3bx", "/%25", "/a%2-",
	} {
		target(p, "path_escape")
	}
	for _, p := range []string{"/a%c0%ae", "/caf%C3%A9", "/caf\xc3\xa9", "/\xff"} {
		target(p, "path_non_ascii")
	}
	for _, p := range []string{"/pub/..;/admin", "/admin;x=1", "/;"} {
		target(p, "path_parameter")
	}
	target("/pub\\..\\admin", "path_backslash")
	target("/public#/../admin", "target_fragment")
	target("/a?x#y", "target_fragment")
	for _, p := range []string{"/a\tb", "/a\"b", "/a<b", "/a[b", "/a|b", "/a^b", "/a{b", "/a\x7f", "/a\x00", "/a?b\x01", "/a?\xc3\xa9"} {
		target(p, "target_byte")
	}

	fields("X: a\nY: b\r\n", "line_ending")
	fields("X: a\rb\r\n", "line_ending")
	fields("\r\nX: smuggled\r\n", "line_ending")
	fields("X: a\r\n b\r\n", "header_folded")
	fields("X: a\r\n\tb\r\n", "header_folded")
	for _, name := range []string{": a", "X Agent Id: admin", "X-A : b", "X\tA: b", "noColon", "\x01: b", "Zoë: b", "(x): b"} {
		fields(name+"\r\n", "header_name")
	}
	for _, value := range []string{"a\x00b", "a\x01b", "\x7f", "a\vb"} {
		for padding := range 17 { // wherever the byte stands in a word
			fields("X: "+strings.Repeat("é ", padding)[:padding]+value+"aaaaaaaaa\r\n", "header_value")
		}
	}
	fields("X: aaaaaaaaaaaa\raaaaaaaaa\r\n", "line_ending")
	_, why := check("GET / HTTP/1.1", host+"X: aaaaaaaaaaaa\t~ \xff\x80aaaaaaaaaaaa\r\n")
	require.Nil(t, why)
	for _, name := range []string{
		"Content-Type", "User-Agent", "Range", "Referer", "Origin", "From", "Date", "Max-Forwards", "If-Modified-Since",
		"If-Unmodified-Since", "X-Request-Id", "Traceparent", "Upgrade",
	} {
		fields(name+": a\r\n"+strings.ToUpper(name)+": a\r\n", "header_duplicate")
	}
	fields(host, "header_duplicate")
	fields("Expect: 100-continue\r\nExpect: 100-continue\r\n", "header_duplicate")
	fields("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", "credential_duplicate")
	fields("Authorization:\r\nauthorization: Bearer b\r\n", "credential_duplicate")
	fields("Connection: a b\r\n", "connection_invalid")
	fields(strings.Repeat("Connection: a\r\n", 5), "connection_invalid")
	fields("Upgrade: h2c, WebSocket\r\n", "upgrade_refused")

	for _, value := range []string{"+1", "-1", "1, 1", "0x1", "", "18446744073709551616", "1 1", "01", "1e3"} {
		fields("Content-Length: "+value+"\r\n", "content_length_invalid")
	}
	fields("Content-Length: 1\r\nContent-Length: 1\r\n", "content_length_invalid")
	for _, value := range []string{"xchunked", "gzip, chunked", "chunked, chunked", "identity", "", "\"chunked\"", "chunked;a=b"} {
		fields("Transfer-Encoding: "+value+"\r\n", "transfer_encoding_invalid")
	}
	fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "transfer_encoding_invalid")
	fields("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "framing_conflict")
	fields("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "framing_conflict")

	for _, name := range []string{"", "u@evil", "a b", "a,b", "a:x", "a:123456", "[::1", "[::1]x", "[]", "[::g]", ":80", "\xa0", "a/b", strings.Repeat("a", 256)} {
		refused("GET / HTTP/1.1", "Host: "+name+"\r\n", 400, "host_invalid")
	}
	refused("GET / HTTP/1.1", "X: y\r\n", 400, "host_invalid")
	refused("GET / HTTP/1.1", host+"Expect: x\r\n", 417, "expectation_failed")
	refused("GET / HTTP/1.1", host+"X: "+strings.Repeat("a", 15<<10)+"\r\n", 431, "header_too_large")
	refused("GET / HTTP/1.1", host+strings.Repeat("A: b\r\n", 100), 431, "header_count")
	_, why = check("GET / HTTP/1.1", host+strings.Repeat("A: b\r\n", 99))
	require.Nil(t, why)
}

func TestForwards(t *testing.T) {
	h, why := check("GET / HTTP/1.1", host+"Connection: close, X-Hop, cookie\r\nConnection: x_other\r\n")
	require.Nil(t, why)
	for _, name := range []string{
		"X-Agent-Id", "x-agent_id", "X_Agent_Id", "X.Agent.Id", "x~agent!id", "X-AGENT-SCOPE", "X-Agent-Anything", "X-Agent", "X-AgentIdP-Error", "x_agentidp_x",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
		"X-Forwarded-Method", "X_Forwarded_For", "X-Original-URL", "X-Rewrite-URL", "X-Original-Uri", "X-HTTP-Method-Override", "X-HTTP-Method",
		"X-Method-Override", "X_HTTP_Method_Override", "X-Real-IP", "Client-Ip", "Remote-User",
		"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "http2_settings", "Proxy-Authorization", "Proxy",
		"Host", "Content-Length", "Content_Length", "Transfer-Encoding", "Transfer_Encoding", "Expect", "Authorization", "X-Request-Id", "Traceparent",
		"X-Hop", "x_hop", "Cookie", "X-Other",
	} {
		require.False(t, h.Forwards([]byte(name)), name)
	}
	for _, name := range []string{"Accept", "User-Agent", "Content-Type", "X-Role", "X-Agents", "XAgentId", "Via", "Tracestate", strings.Repeat("x", 300)} {
		require.True(t, h.Forwards([]byte(name)), name)
	}
}

func TestNamesAreFoldedWhole(t *testing.T) {
	h, why := check("GET / HTTP/1.1", host+"Content_Length: 5\r\nTransfer_Encoding: chunked\r\nX_Request_Id: a\r\n")
	require.Nil(t, why)
	require.False(t, h.HasBody(), "an alias never frames")
	require.Nil(t, h.RequestID)
}

func TestAcceptingAllocatesNothing(t *testing.T) {
	r := guard.Request{Method: []byte("POST"), Target: []byte("/notes/a%20b?x=1"), Protocol: []byte("HTTP/1.1"), Fields: []byte(host +
		"Authorization: Bearer abc\r\nContent-Length: 3\r\nConnection: keep-alive\r\nX-Some-Quite-Long-Field-Name-That-Is-Cut-When-Folded: 1\r\n\r\n")}
	var h guard.Head
	alloctest.Zero(t, func() {
		if guard.DefaultLimits.Check(r, &h) != nil || !h.Forwards(r.Method) {
			panic("refused")
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	r := guard.Request{Method: []byte("GET"), Target: []byte("/notes/0123456789"), Protocol: []byte("HTTP/1.1"), Fields: []byte(host +
		"Authorization: Bearer " + strings.Repeat("a", 700) + "\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n")}
	var h guard.Head
	b.ReportAllocs()
	for b.Loop() {
		if guard.DefaultLimits.Check(r, &h) != nil {
			b.Fatal("refused")
		}
	}
}
