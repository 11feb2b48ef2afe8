package websocket_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

// mask is the key of a client's frames here.
const mask = "\x01\x02\x03\x04"

// feed presents the bytes in pieces, as a relay does, and says how many passed.
func feed(t testing.TB, tracker *websocket.Tracker, bytes string, piece int) (int, error) {
	passed, waiting := 0, 0
	for {
		n, err := tracker.Next([]byte(bytes[passed : passed+waiting]))
		passed, waiting = passed+n, waiting-n
		if err != nil {
			again, same := tracker.Next([]byte(bytes[passed:]))
			require.Zero(t, again, "it takes nothing more")
			require.Equal(t, err, same)
			return passed, err
		}
		require.Less(t, waiting, websocket.MaxHead, "only the beginning of a head waits")
		if passed+waiting == len(bytes) {
			return passed, nil
		}
		waiting += min(piece, len(bytes)-passed-waiting)
	}
}

func TestTracker(t *testing.T) {
	long, huge := strings.Repeat("x", 200), strings.Repeat("x", 70_000)
	server := func(name, good, bad string, change ...func(*websocket.Tracker)) {
		facts(t, "server "+name, websocket.Tracker{}, good, bad, change)
	}
	client := func(name, good, bad string, change ...func(*websocket.Tracker)) {
		facts(t, "client "+name, websocket.Tracker{Client: true}, good, bad, change)
	}
	deflate := func(tracker *websocket.Tracker) { tracker.Compressed = true }
	limit := func(tracker *websocket.Tracker) { tracker.Limit = 5 }

	server("nothing", "", "")
	server("text", "\x81\x02hi\x82\x00", "")
	server("16 bits", "\x82\x7e\x00\xc8"+long, "")
	server("64 bits", "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70"+huge, "")
	server("fragments with a ping between", "\x01\x01a\x89\x01p\x00\x01b\x80\x01c\x81\x00", "")
	server("close", "\x88\x00", "")
	server("close with a code", "\x88\x02\x03\xe8", "")
	client("text", "\x81\x82"+mask+"hi\x8a\x80"+mask, "")
	client("16 bits", "\x82\xfe\x00\xc8"+mask+long, "")
	client("64 bits", "\x82\xff\x00\x00\x00\x00\x00\x01\x11\x70"+mask+huge, "")

	client("unmasked", "\x81\x82"+mask+"hi", "\x81\x02hi")
	server("masked", "\x81\x02hi", "\x81\x82"+mask+"hi")
	for _, op := range []string{"\x83", "\x84", "\x85", "\x86", "\x87", "\x8b", "\x8c", "\x8d", "\x8e", "\x8f"} {
		server("reserved opcode", "\x8a\x00", op+"\x00")
	}
	server("RSV1", "\x81\x00", "\xc1\x00")
	server("RSV2", "\x81\x00", "\xa1\x00", deflate)
	server("RSV3", "\x81\x00", "\x91\x00", deflate)
	server("compressed", "\xc1\x01z\x41\x01z\x80\x01z", "", deflate)
	server("compressed continuation", "\x41\x01z", "\xc0\x01z", deflate)
	server("compressed ping", "", "\xc9\x00", deflate)
	server("long ping", "", "\x89\x7e\x00\xc8"+long)
	server("fragmented ping", "\x81\x00", "\x09\x00")
	server("continuation of nothing", "\x81\x00", "\x80\x00")
	server("message in a message", "\x01\x00", "\x81\x00")
	server("close with half a code", "", "\x88\x01\x03")
	server("data behind close", "\x88\x00", "\x81\x00")
	server("close behind close", "\x88\x00", "\x88\x00")
	server("length in more bytes than it needs", "", "\x82\x7e\x00\x7d"+long)
	server("length in many more", "", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"+huge)
	server("negative length", "", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00")
	server("HTTP instead", "", "HTTP/1.1 200 OK\r\n")

	client("at the limit", "\x82\x85"+mask+"12345\x02\x84"+mask+"1234\x80\x81"+mask+"5\x82\x81"+mask+"1", "", limit)
	for _, bad := range []string{"\x82\x86" + mask + "123456", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + mask} {
		client("past the limit", "", bad, limit, tooBig)
	}
	client("past the limit in pieces", "\x02\x83"+mask+"123\x89\x8a"+mask+"1234567890", "\x80\x83"+mask+"123", limit, tooBig)
}

// tooBig marks facts whose error is ErrTooBig.
func tooBig(*websocket.Tracker) {}

func facts(t *testing.T, name string, zero websocket.Tracker, good, bad string, change []func(*websocket.Tracker)) {
	t.Helper()
	want := websocket.ErrProtocol
	if len(change) == 2 {
		want = websocket.ErrTooBig
	}
	for _, c := range change {
		c(&zero)
	}
	for _, piece := range []int{1, 2, 3, 7, 64 << 10} {
		tracker := zero
		n, err := feed(t, &tracker, good+bad, piece)
		require.Equal(t, len(good), n, name)
		if bad == "" {
			require.NoError(t, err, name)
			require.True(t, tracker.Boundary(), name)
		} else {
			require.Equal(t, want, err, name)
		}
	}
}

func TestBoundary(t *testing.T) {
	var tracker websocket.Tracker
	require.True(t, tracker.Boundary())
	n, err := tracker.Next([]byte("\x81\x03a"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.False(t, tracker.Boundary(), "inside a frame")
	require.EqualValues(t, 2, tracker.Left())
	n, err = tracker.Next([]byte("bc\x01\x02"))
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.False(t, tracker.Boundary())
	n, err = tracker.Next([]byte("de\x80\x7e\x00"))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.True(t, tracker.Boundary(), "a message may be open, and the head that waits was not passed on")
}

func TestNothingIsAllocated(t *testing.T) {
	frames := []byte(strings.Repeat("\x81\x02hi\x82\x7e\x00\x80"+strings.Repeat("x", 128), 100))
	alloctest.Zero(t, func() {
		var tracker websocket.Tracker
		if n, err := tracker.Next(frames); n != len(frames) || err != nil {
			t.Fatal(n, err)
		}
	})
}
