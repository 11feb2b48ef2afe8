package guard_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

func TestReadAnswer(t *testing.T) {
	reads := func(head string, status int, length int64, closes bool) guard.Answer {
		t.Helper()
		var a guard.Answer
		require.NoError(t, guard.ReadAnswer([]byte(head), &a), "%q", head)
		require.Equal(t, status, a.Status)
		require.Equal(t, length, a.Length)
		require.Equal(t, closes, a.Close)
		return a
	}
	reads("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 5, false)
	reads("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", 200, guard.Chunked, false)
	reads("HTTP/1.1 200 \r\nConnection: x, Close\r\n\r\n", 200, guard.UntilClose, true)
	reads("HTTP/1.0 404 Not \xc3\xa9\r\nContent-Length: 0\r\n\r\n", 404, 0, true)
	reads("HTTP/1.1 101 x\r\n\r\n", 101, guard.UntilClose, false)

	a := reads("HTTP/1.1 204 OK\r\nConnection: X-Foo\r\n\r\n", 204, guard.UntilClose, false)
	require.True(t, a.Bodyless([]byte("GET")))
	for _, name := range []string{"X-Foo", "x_foo", "Server", "Date", "X-Agent-Id", "X_Agent_Id", "X-AgentIdP-Error", "Keep-Alive", "Upgrade", "Trailer", "Content-Length", "X-Request-Id"} {
		require.False(t, a.Returns([]byte(name)), name)
	}
	for _, name := range []string{"Content-Type", "Set-Cookie", "ETag", "WWW-Authenticate", "Location", "Authorization"} {
		require.True(t, a.Returns([]byte(name)), name)
	}
	require.True(t, (&guard.Answer{Status: 200}).Bodyless([]byte("HEAD")))
	require.True(t, (&guard.Answer{Status: 304}).Bodyless([]byte("GET")))
	require.False(t, (&guard.Answer{Status: 200}).Bodyless([]byte("GET")))

	for _, bad := range []string{
		"", "HTTP/1.1 200 OK", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 200 a\nb\r\n\r\n", "HTTP/1.1 200 OK\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: y\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nX y: z\r\n\r\n", "HTTP/1.1 200 OK\r\nX\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n",
	} {
		require.ErrorIs(t, guard.ReadAnswer([]byte(bad), &a), guard.ErrAnswer, "%q", bad)
	}
}

// Only an answer whose end is beyond doubt lets its connection live.
func TestCertain(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		length int64
		want   bool
	}{
		{"GET", 200, 0, true}, {"GET", 200, 5, true}, {"GET", 200, guard.Chunked, true}, {"GET", 200, guard.UntilClose, false},
		{"HEAD", 200, 0, true}, {"HEAD", 200, 5, false}, {"HEAD", 200, guard.Chunked, false}, {"HEAD", 200, guard.UntilClose, false},
		{"GET", 204, 0, true}, {"GET", 204, 5, false}, {"GET", 204, guard.Chunked, false}, {"GET", 204, guard.UntilClose, false},
		{"GET", 304, 0, true}, {"GET", 304, 5, false}, {"GET", 304, guard.Chunked, false}, {"GET", 304, guard.UntilClose, true},
		{"HEAD", 304, guard.UntilClose, false},
	} {
		a := guard.Answer{Status: c.status, Length: c.length}
		require.Equal(t, c.want, a.Certain([]byte(c.method)), "%+v", c)
	}
}

// An accepted answer means the same to net/http.
func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0 301 Moved\r\nLocation: /\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close, x\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		var a guard.Answer
		if guard.ReadAnswer(head, &a) != nil {
			return
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
		require.NoError(t, err)
		require.Equal(t, r.StatusCode, a.Status)
		if !a.Bodyless([]byte("GET")) {
			if chunked := len(r.TransferEncoding) > 0; chunked {
				require.Equal(t, guard.Chunked, a.Length)
			} else if r.ContentLength >= 0 {
				require.Equal(t, r.ContentLength, a.Length)
			} else {
				require.Equal(t, guard.UntilClose, a.Length)
			}
		}
		require.Equal(t, strings.Count(string(a.Fields), "\r\n"), bytes.Count(head, []byte("\n"))-1)
	})
}
