package websocket_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

func TestKey(t *testing.T) {
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", websocket.Accept([]byte("dGhlIHNhbXBsZSBub25jZQ==")), "RFC 6455 section 1.3")
	require.True(t, websocket.ValidKey([]byte("dGhlIHNhbXBsZSBub25jZQ==")))
	for _, bad := range []string{
		"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZR==", // unused bits are not zero
		"dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25jZTEy", "dGhlIHNhbXBsZSBub24=====", "dGhl\nHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub2\r\nZQ==",
		"dGhlIHNhbXBsZSBub2-jZQ==", "=GhlIHNhbXBsZSBub25jZQ==", strings.Repeat("A", 40),
	} {
		require.False(t, websocket.ValidKey([]byte(bad)), "%q", bad)
	}
}

func TestAppendClose(t *testing.T) {
	require.Equal(t, "x\x88\x09\x03\xf0revoked", string(websocket.AppendClose([]byte("x"), websocket.Policy, "revoked", nil)))
	require.Equal(t, "\x88\x84\x01\x02\x03\x04\x02\xeb\x6b\x6d", string(websocket.AppendClose(nil, websocket.GoingAway, "hi", &[4]byte{1, 2, 3, 4})))
	for _, reason := range []string{strings.Repeat("x", 124), "\xff"} {
		require.Equal(t, "\x88\x02\x03\xea", string(websocket.AppendClose(nil, websocket.ProtocolError, reason, nil)))
	}
	longest := websocket.AppendClose(nil, websocket.ProtocolError, strings.Repeat("x", 123), nil)
	var tracker websocket.Tracker
	n, err := tracker.Next(longest)
	require.NoError(t, err)
	require.Equal(t, 127, n)
	require.True(t, tracker.Closed())
}
