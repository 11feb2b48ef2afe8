package httpx_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// streaming answers with the length of a body of up to 1000 bytes. /deny
// leaves the body unread, /half reads half of it.
func streaming(t *testing.T, handled *atomic.Int64, head time.Duration, pace httpx.Pace) *running {
	return start(t, httpx.Options{Stream: true, HeadTimeout: head, Handler: func(ctx *fasthttp.RequestCtx) {
		handled.Add(1)
		switch string(ctx.Path()) {
		case "/deny":
			httpx.WriteError(ctx, apierr.New(apierr.Forbidden, "no"))
			return
		case "/half":
			body, err := httpx.OpenBody(ctx, 1000, pace)
			if err == nil {
				_, err = io.ReadFull(body, make([]byte, 3))
			}
			httpx.WriteJSON(ctx, 200, err == nil)
			return
		}
		body, err := httpx.OpenBody(ctx, 1000, pace)
		if err != nil {
			httpx.WriteError(ctx, apierr.From(err))
			return
		}
		n, err := io.Copy(io.Discard, body)
		if err != nil {
			httpx.WriteError(ctx, apierr.From(err))
			return
		}
		httpx.WriteJSON(ctx, 200, n)
	}}, httpx.ListenOptions{})
}

func TestStreamedBodies(t *testing.T) {
	var handled atomic.Int64
	r := streaming(t, &handled, patience, httpx.Pace{})
	next := "GET /second HTTP/1.1\r\nHost: h\r\n\r\n"
	is := func(name, request string, status int, body string, closed bool) {
		t.Run(name, func(t *testing.T) {
			handled.Store(0)
			a := r.raw(t, request)
			require.Equal(t, status, a.status)
			require.Equal(t, body, a.body)
			require.Equal(t, closed, a.closed)
			require.Empty(t, a.rest, "nothing behind it is answered")
			require.EqualValues(t, 1, handled.Load())
		})
	}
	long := strings.Repeat("x", 1001)
	const tooLarge = `{"code":"PAYLOAD_TOO_LARGE","message":"the request body is too large","details":{}}`
	const no = `{"code":"FORBIDDEN","message":"no","details":{}}`
	is("none", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "0", false)
	is("empty", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 200, "0", false)
	is("short", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 200, "3", false)
	is("at the limit", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"+long[:1000], 200, "1000", false)
	is("chunked at the limit", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"+long[:1000]+"\r\n0\r\n\r\n", 200, "1000", false)
	is("past the limit", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n"+long+next, 413, tooLarge, true)
	is("chunked past the limit", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"+long+"\r\n0\r\n\r\n"+next, 413, tooLarge, true)
	is("denied unread", "POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 32\r\n\r\n"+next, 403, no, true)
	is("denied chunked", "POST /deny HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+next, 403, no, true)
	is("denied without body", "POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 403, no, false)
	is("broken chunk", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n"+next, 400, `{"code":"VALIDATION_FAILED","message":"the request is malformed","details":{}}`, true)
	is("read by half", "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabcdef"+next, 200, "true", true)

	t.Run("denied large upload hears the answer", func(t *testing.T) {
		const size = 6 << 20
		upload := strings.Repeat("x", size)
		// It may send its body to the end, as clients do that read only then: the server
		// listens for some seconds, which the machine may take from the client.
		persist(t, "the body is sent to its end", func() bool {
			c := r.dial(t)
			defer c.Close()
			require.NoError(t, c.(*net.TCPConn).SetWriteBuffer(16<<10))
			_, err := fmt.Fprintf(c, "POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
			require.NoError(t, err)
			if _, err = io.CopyN(c, strings.NewReader(upload), size); err != nil {
				return false
			}
			a := read(t, c)
			require.Equal(t, 403, a.status)
			require.True(t, a.closed)
			return true
		})
	})
}

func TestPace(t *testing.T) {
	var handled atomic.Int64
	r := streaming(t, &handled, 2*time.Second, httpx.Pace{Window: 2 * time.Second, Bytes: 50})
	send := func(pieces, size int) answer {
		c := r.dial(t)
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 800\r\n\r\n")
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range pieces {
				if _, err := io.WriteString(c, strings.Repeat("x", size)); err != nil {
					return
				}
				time.Sleep(300 * time.Millisecond)
			}
		}()
		a := read(t, c)
		c.Close()
		<-done
		return a
	}
	persist(t, "a body that keeps the pace may take longer than any timeout", func() bool { return send(8, 100).status == 200 }) // unless we do not keep it
	require.Equal(t, 408, send(40, 1).status, "a drip is cut off, and not waited out")
}
