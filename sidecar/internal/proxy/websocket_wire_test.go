package proxy_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// handshake is the fields of one.
var handshake = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

// handshake opens a WebSocket by hand.
func (w *world) handshake(path, token string, lines ...string) (net.Conn, *bufio.Reader) {
	w.t.Helper()
	conn := w.dial()
	_, err := io.WriteString(conn, request("GET", path, token, append(lines, handshake...)...))
	require.NoError(w.t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(w.t, err)
	require.Equal(w.t, 101, response.StatusCode)
	require.Equal(w.t, "websocket", response.Header.Get("Upgrade"))
	require.Equal(w.t, []string{"Upgrade"}, response.Header.Values("Connection"))
	require.Equal(w.t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", response.Header.Get("Sec-WebSocket-Accept"))
	return conn, reader
}

// accepting is an upstream's answer that takes the handshake up.
func accepting(request *http.Request, lines ...string) string {
	sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

// frame is a short one; masked: a client's, with a key of zeros and so readable.
func frame(first, payload string, masked bool) string {
	if masked {
		return first + string([]byte{byte(0x80 | len(payload))}) + "\x00\x00\x00\x00" + payload
	}
	return first + string([]byte{byte(len(payload))}) + payload
}

// allocated is all that was ever allocated, in bytes.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// rawAPI is an upstream whose every connection is one request and what the
// script makes of it.
func rawAPI(t *testing.T, script func(request *http.Request, conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	return "http://" + accept(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		r := bufio.NewReader(conn)
		if request, err := http.ReadRequest(r); err == nil {
			script(request, conn, r)
		}
	}).String()
}

// rest reads until the connection ends, however it does.
func rest(r io.Reader) string {
	all, _ := io.ReadAll(r)
	return string(all)
}

const goingAway = "\x03\xe9" // 1001

// unmask reads a client's short frame.
func unmask(t *testing.T, bytes string) (first, payload string) {
	t.Helper()
	require.GreaterOrEqual(t, len(bytes), 6)
	require.Len(t, bytes, 6+int(bytes[1]&0x7f))
	require.NotZero(t, bytes[1]&0x80, "masked")
	plain := []byte(bytes[6:])
	for i := range plain {
		plain[i] ^= bytes[2+i%4]
	}
	return bytes[:1], string(plain)
}
