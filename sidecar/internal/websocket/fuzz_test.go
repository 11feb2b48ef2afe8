package websocket_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

// However the bytes are cut, the same ones pass, for the same reason no more
// do, and what passed is whole frames that keep to RFC 6455, but for the
// payload of the last.
func FuzzTracker(f *testing.F) {
	for _, seed := range []string{
		"\x81\x02hi\x88\x02\x03\xe8", "\x81\x82\x01\x02\x03\x04hi", "\x01\x01a\x89\x00\x80\x01b", "\x82\x7e\x00\xc8xxx", "\xc1\x01z",
		"\x82\xff\x00\x00\x00\x00\x00\x01\x11\x70\x01\x02\x03\x04", "\x89\x7e\x00\xc8", "\x83\x00", "HTTP/1.1 200 OK",
	} {
		for modes := range uint8(8) {
			f.Add([]byte(seed), modes, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, frames []byte, modes, piece uint8) {
		zero := websocket.Tracker{Client: modes&1 != 0, Compressed: modes&2 != 0}
		if modes&4 != 0 {
			zero.Limit = 100
		}
		whole, cut := zero, zero
		n, err := whole.Next(frames)
		passed, same := feed(t, &cut, string(frames), int(piece)+1)
		require.Equal(t, n, passed)
		require.Equal(t, err, same)
		require.Equal(t, whole.Boundary(), cut.Boundary())
		closed, boundary := walk(t, zero, frames[:n])
		require.Equal(t, whole.Closed(), closed)
		require.Equal(t, whole.Boundary(), boundary)
		if err == nil {
			require.Less(t, len(frames)-n, websocket.MaxHead)
		} else {
			require.True(t, boundary, "what is wrong is a head")
		}
	})
}

// walk reads frames by the book.
func walk(t *testing.T, mode websocket.Tracker, b []byte) (closed, boundary bool) {
	open, message := false, uint64(0)
	for len(b) > 0 {
		require.False(t, closed)
		require.GreaterOrEqual(t, len(b), 2)
		fin, op, isMasked, length := b[0]>>7 == 1, b[0]&15, b[1]>>7 == 1, uint64(b[1]&127)
		require.Equal(t, mode.Client, isMasked)
		require.Zero(t, b[0]&0x30)
		b = b[2:]
		switch length {
		case 126:
			length = uint64(binary.BigEndian.Uint16(b))
			require.GreaterOrEqual(t, length, uint64(126))
			b = b[2:]
		case 127:
			length = binary.BigEndian.Uint64(b)
			require.Greater(t, length, uint64(65535))
			require.Zero(t, length>>63)
			b = b[8:]
		}
		if isMasked {
			require.GreaterOrEqual(t, len(b), 4)
			b = b[4:]
		}
		switch op {
		case 8, 9, 10:
			require.True(t, fin)
			require.LessOrEqual(t, length, uint64(125))
			closed = op == 8
			require.False(t, closed && length == 1)
		case 0:
			require.True(t, open)
			open = !fin
			message += length
		case 1, 2:
			require.False(t, open)
			open = !fin
			message = length
		default:
			t.Fatal("reserved opcode")
		}
		if mode.Limit > 0 {
			require.LessOrEqual(t, message, uint64(mode.Limit))
		}
		if uint64(len(b)) < length {
			return closed, false
		}
		b = b[length:]
	}
	return closed, true
}
