package guard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

const (
	key       = "dGhlIHNhbXBsZSBub25jZQ=="
	keyAnswer = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	handshake = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
)

func TestHandshake(t *testing.T) {
	h, why := check("GET /ws HTTP/1.1", host+handshake+"Origin: https://app.example\r\n")
	require.Nil(t, why)
	require.True(t, h.WebSocket)
	require.Equal(t, "https://app.example", string(h.Origin))
	h, why = check("GET /ws HTTP/1.1", host+"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n")
	require.Nil(t, why, "an offer that is stripped")
	require.False(t, h.WebSocket)
	require.Nil(t, h.Origin)
	h, why = check("POST /ws HTTP/1.1", host+"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\nSec_WebSocket_Key: y\r\n")
	require.Nil(t, why, "no handshake without Upgrade")
	for _, name := range []string{"Sec-WebSocket-Key", "sec_websocket_key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Anything"} {
		require.False(t, h.Forwards([]byte(name)), name)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	refused := func(line, fields string, status int, reason string) {
		t.Helper()
		_, why := check(line, host+fields)
		require.NotNil(t, why, "%q", fields)
		require.Equal(t, reason, why.Reason, "%q", fields)
		require.Equal(t, status, why.Status)
	}
	other := func(old, with string, reason string) {
		t.Helper()
		fields := strings.Replace(handshake, old, with, 1)
		require.NotEqual(t, handshake, fields)
		refused("GET /ws HTTP/1.1", fields, 400, reason)
	}
	for _, method := range []string{"POST", "HEAD", "OPTIONS", "PUT"} {
		refused(method+" /ws HTTP/1.1", handshake, 400, "websocket_handshake")
	}
	for _, body := range []string{"Content-Length: 0\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n"} {
		refused("GET /ws HTTP/1.1", handshake+body, 400, "websocket_handshake")
	}
	other("keep-alive, Upgrade", "keep-alive", "websocket_handshake")
	other("keep-alive, Upgrade", "close, Upgrade", "websocket_handshake")
	other("Connection: keep-alive, Upgrade\r\n", "", "websocket_handshake")
	other(key, key[:23], "websocket_handshake")
	other(key, strings.Replace(key, "Q==", "R==", 1), "websocket_handshake")
	other("Sec-WebSocket-Key: "+key+"\r\n", "", "websocket_handshake")
	other("Sec-WebSocket-Key", "Sec_WebSocket_Key", "websocket_handshake")
	other("Sec-WebSocket-Version: 13\r\n", "", "websocket_handshake")
	for _, version := range []string{"8", "14", "8, 13", "13, 13", "+13", ""} {
		refused("GET /ws HTTP/1.1", strings.Replace(handshake, "13", version, 1), 426, "websocket_version")
	}
	for _, protocols := range []string{"a b", "a,,b", "a;b", "\"a\"", ","} {
		refused("GET /ws HTTP/1.1", handshake+"Sec-WebSocket-Protocol: ok\r\nSec-WebSocket-Protocol: "+protocols+"\r\n", 400, "websocket_handshake")
	}
	for _, twice := range []string{"Sec-WebSocket-Key: " + key, "Sec-WebSocket-Version: 13", "Upgrade: websocket", "Upgrade: h2c", "Origin: a\r\nOrigin: a"} {
		refused("GET /ws HTTP/1.1", handshake+twice+"\r\n", 400, "header_duplicate")
	}
	for _, mixed := range []string{"websocket, h2c", "h2c, WebSocket", "websocket,", "websocket, websocket"} {
		other("WebSocket", mixed, "upgrade_refused")
	}
	refused("GET /ws HTTP/1.1", handshake+"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n", 400, "upgrade_refused")
}

func TestAppendHandshake(t *testing.T) {
	const ours = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	for fields, want := range map[string]string{
		"":                                      "",
		"Sec-WebSocket-Protocol: mcp\r\n":       "Sec-WebSocket-Protocol: mcp\r\n",
		"Sec-WebSocket-Protocol: mcp,  a2a\r\n": "Sec-WebSocket-Protocol: mcp, a2a\r\n",
		"Sec-WebSocket-Protocol: mcp\r\nX: y\r\nsec-websocket-protocol: A2A\r\nSec_WebSocket_Protocol: no\r\n":       "Sec-WebSocket-Protocol: mcp, A2A\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate\r\n":                                                           "Sec-WebSocket-Extensions: permessage-deflate\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; a=15, permessage-deflate\r\n":         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; a=15, permessage-deflate\r\n",
		"Sec-WebSocket-Extensions: x-webkit-deflate-frame, mux; permessage-deflate, permessage-deflate; a=\"1\"\r\n": "",
		"Sec-WebSocket-Extensions: foo; a=\"b, permessage-deflate, c\", bar\r\n":                                     "Sec-WebSocket-Extensions: permessage-deflate\r\n",
	} {
		h, why := check("GET /ws HTTP/1.1", host+handshake+fields)
		require.Nil(t, why, fields)
		require.Equal(t, ours+want, string(h.AppendHandshake(nil)), fields)
	}
}

func TestSwitches(t *testing.T) {
	const offer = "Sec-WebSocket-Protocol: mcp, a2a\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
	const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: " + keyAnswer + "\r\n"
	switches := func(offer, head string) (guard.Switch, bool) {
		t.Helper()
		h, why := check("GET /ws HTTP/1.1", host+handshake+offer)
		require.Nil(t, why)
		var a guard.Answer
		require.NoError(t, guard.ReadAnswer([]byte(head+"\r\n"), &a))
		return h.Switches(&a)
	}
	s, ok := switches(offer, answer+"Sec-WebSocket-Protocol: a2a\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\nX: y\r\n")
	require.True(t, ok)
	require.Equal(t, guard.Switch{Accept: keyAnswer, Protocol: []byte("a2a"), Extension: []byte("permessage-deflate; server_no_context_takeover")}, s)
	for _, offered := range []string{offer, ""} {
		s, ok = switches(offered, answer)
		require.True(t, ok)
		require.Equal(t, guard.Switch{Accept: keyAnswer}, s)
	}

	for name, head := range map[string]string{
		"status":             strings.Replace(answer, "101", "200", 1),
		"HTTP/1.0":           strings.Replace(answer, "HTTP/1.1", "HTTP/1.0", 1),
		"no Connection":      strings.Replace(answer, "Connection: upgrade\r\n", "", 1),
		"other Connection":   strings.Replace(answer, "Connection: upgrade", "Connection: keep-alive", 1),
		"closes":             strings.Replace(answer, "Connection: upgrade", "Connection: upgrade, close", 1),
		"no Upgrade":         strings.Replace(answer, "Upgrade: WebSocket\r\n", "", 1),
		"other Upgrade":      strings.Replace(answer, "WebSocket\r\n", "h2c\r\n", 1),
		"Upgrade list":       strings.Replace(answer, "WebSocket\r\n", "websocket, h2c\r\n", 1),
		"two Upgrades":       answer + "Upgrade: websocket\r\n",
		"no Accept":          strings.Replace(answer, "Sec-WebSocket-Accept", "X-Accept", 1),
		"alias of Accept":    strings.Replace(answer, "Sec-WebSocket-Accept", "Sec_WebSocket_Accept", 1),
		"wrong Accept":       strings.Replace(answer, "s3pP", "s3pp", 1),
		"two Accepts":        answer + "Sec-WebSocket-Accept: " + keyAnswer + "\r\n",
		"length":             answer + "Content-Length: 0\r\n",
		"coding":             answer + "Transfer-Encoding: chunked\r\n",
		"unoffered protocol": answer + "Sec-WebSocket-Protocol: graphql\r\n",
		"other case":         answer + "Sec-WebSocket-Protocol: MCP\r\n",
		"protocol list":      answer + "Sec-WebSocket-Protocol: mcp, a2a\r\n",
		"empty protocol":     answer + "Sec-WebSocket-Protocol:\r\n",
		"two protocols":      answer + "Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Protocol: mcp\r\n",
		"other extension":    answer + "Sec-WebSocket-Extensions: mux\r\n",
		"extension list":     answer + "Sec-WebSocket-Extensions: permessage-deflate, mux\r\n",
		"extension twice":    answer + "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
	} {
		_, ok := switches(offer, head)
		require.False(t, ok, name)
	}
	for _, unasked := range []string{"Sec-WebSocket-Protocol: mcp\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"} {
		_, ok := switches("", answer+unasked)
		require.False(t, ok, unasked)
	}
}

func TestOnlyTheVersionReturns(t *testing.T) {
	var a guard.Answer
	require.NoError(t, guard.ReadAnswer([]byte("HTTP/1.1 426 x\r\n\r\n"), &a))
	require.True(t, a.Returns([]byte("Sec-WebSocket-Version")))
	for _, name := range []string{"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Upgrade"} {
		require.False(t, a.Returns([]byte(name)), name)
	}
}
