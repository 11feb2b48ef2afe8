package proxy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// What a client can say only in HTTP/2 is refused as its like is in HTTP/1.1
// (RFC 9113 sections 8.2 and 8.3).
func TestHTTP2Ambiguities(t *testing.T) {
	up := stdUpstream(t)
	w, _ := newSecureWorld(t, up.URL)
	good := tokens(t).good(t)
	f := w.frames(t)
	for _, fact := range []struct {
		name   string
		head   [][2]string
		status string
		reason string
	}{
		{"plain", head(good), "200", ""},
		{"host agrees", head(good, "host", "api.example"), "200", ""},
		{"te: trailers", head(good, "te", "trailers"), "200", ""},
		{"cookies in pieces", head(good, "cookie", "a=1", "+cookie", "b=2"), "200", ""},
		{"no authority, but host", head(good, ":authority", "-", "host", "api.example"), "200", ""},
		{"host differs", head(good, "host", "other.example"), "400", "header_duplicate"},
		{"host twice", head(good, "host", "api.example", "+host", "api.example"), "400", "header_duplicate"},
		{"no host at all", head(good, ":authority", "-"), "400", "host_invalid"},
		{"authority with path", head(good, ":authority", "api.example/x"), "400", "host_invalid"},
		{"absolute path", head(good, ":path", "https://api.example/notes"), "400", "target_form"},
		{"asterisk of OPTIONS", head(good, ":method", "OPTIONS", ":path", "*"), "400", "target_form"},
		{"asterisk", head(good, ":path", "*"), "400", "target_form"},
		{"double slash", head(good, ":path", "//admin"), "400", "path_empty_segment"},
		{"dots", head(good, ":path", "/pub/../notes"), "400", "path_dot_segment"},
		{"escaped slash", head(good, ":path", "/pub%2fx"), "400", "path_escape"},
		{"fragment", head(good, ":path", "/notes#x"), "400", "target_fragment"},
		{"backslash", head(good, ":path", `/notes\x`), "400", "path_backslash"},
		{"lower-case method", head(good, ":method", "get"), "405", "method_invalid"},
		{"two tokens", head(good, "+authorization", "Bearer "+good), "400", "credential_duplicate"},
		{"two media types", head(good, "content-type", "a/b", "+content-type", "c/d"), "400", "header_duplicate"},
		{"two lengths", head(good, "content-length", "0", "+content-length", "0"), "400", "content_length_invalid"},
		{"a length without a body", head(good, "content-length", "5"), "400", "framing_conflict"},
		{"a length that is none", head(good, "content-length", "+5"), "400", "content_length_invalid"},
		{"another expectation", head(good, "expect", "x"), "417", "expectation_failed"},
		{"101 fields", append(head(good), many(100)...), "431", "header_count"},
		{"15 KiB of fields", head(good, "big", strings.Repeat("x", 15<<10)), "431", "header_too_large"},
	} {
		id := f.open(fact.head, false)
		fields, reset := f.answer(id)
		require.Zero(t, reset, fact.name)
		require.Equal(t, fact.status, fields.Get(":status"), fact.name)
		require.Equal(t, fact.reason, fields.Get("x-agentidp-error"), fact.name)
	}
	require.Len(t, up.all(), 5)
	require.Equal(t, "a=1; b=2", up.all()[3].Header.Get("Cookie"))
	for _, request := range up.all() {
		require.Equal(t, "/notes", request.Target)
		require.Empty(t, request.Header.Get("Te"))
	}
	require.Len(t, w.records.all(), 26)
}

func large(n int) (fields [][2]string) {
	for range n {
		fields = append(fields, [2]string{"x", strings.Repeat("y", 4<<10)})
	}
	return fields
}

func many(n int) (fields [][2]string) {
	for range n {
		fields = append(fields, [2]string{"x", "y"})
	}
	return fields
}

// What net/http refuses by itself has no decision record; a counter tells of the resets.
func TestHTTP2RefusedByTheServer(t *testing.T) {
	up := stdUpstream(t)
	w, _ := newSecureWorld(t, up.URL)
	good := tokens(t).good(t)
	f := w.frames(t)
	for name, fields := range map[string][][2]string{
		"connection": head(good, "connection", "x"), "keep-alive": head(good, "keep-alive", "x"), "proxy-connection": head(good, "proxy-connection", "x"),
		"transfer-encoding": head(good, "transfer-encoding", "chunked"), "upgrade": head(good, "upgrade", "websocket"), "te": head(good, "te", "gzip"),
	} {
		answer, _ := f.answer(f.open(fields, false))
		require.Equal(t, "400", answer.Get(":status"), name)
	}
	for name, fields := range map[string][][2]string{
		"path without slash": head(good, ":path", "notes"), "empty path": head(good, ":path", ""), "no path": head(good, ":path", "-"), "bad escape": head(good, ":path", "/%zz"),
		"user in authority": head(good, ":authority", "u@api.example"), "line break in authority": head(good, ":authority", "a\r\nx: y"),
		"line break in path": head(good, ":path", "/notes\r\nx: y"), "line break in method": head(good, ":method", "GET\r\nx: y"), "CONNECT with a path": head(good, ":method", "CONNECT"),
		"extended CONNECT": {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/notes"}, {":authority", "api.example"}},
		"upper case":       head(good, "Upper", "x"), "line break": head(good, "x", "a\r\nhost: b"), "NUL": head(good, "x", "\x00"), "space in a name": head(good, "a b", "x"),
		"unknown pseudo-header": append([][2]string{{":x", "y"}}, head(good)...), "two paths": append([][2]string{{":path", "/open"}}, head(good)...),
		"pseudo-header behind": head(good, "x", "y", "+:path", "/open"),
	} {
		_, reset := f.answer(f.open(fields, false))
		require.Equal(t, http2.ErrCodeProtocol, reset, name)
	}
	plain, _ := f.answer(f.open([][2]string{{":method", "CONNECT"}, {":authority", "api.example:443"}}, false))
	require.Equal(t, "method_not_allowed", plain.Get("x-agentidp-error"))
	tooLong, _ := f.answer(f.open(append(head(good), large(7)...), false))
	require.Equal(t, "431", tooLong.Get(":status"))
	require.Empty(t, up.all())
	w.metric(`sidecar_http2_errors_total{type="stream_PROTOCOL_ERROR_bad_path"} `)
}
