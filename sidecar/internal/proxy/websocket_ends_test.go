package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// When one side vanishes, so does the other.
func TestWebSocketsEndWithTheirClient(t *testing.T) {
	t.Parallel()
	t.Run("that hangs up", func(t *testing.T) {
		heard := make(chan string, 1)
		w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
			_, _ = io.WriteString(conn, accepting(request))
			heard <- rest(r)
		}), withSockets)
		conn, _ := w.handshake("/ws", tokens(t).good(t))
		last := frame("\x81", "last words", true)
		_, err := io.WriteString(conn, last)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.Equal(t, last, <-heard, "and no goodbye that it did not say")
		r := w.ended()
		require.Equal(t, decision.Allowed, r.Outcome)
		require.Equal(t, "client_gone", r.Reason)
		require.Equal(t, 101, r.Status)
		require.Equal(t, int64(len(last)), r.BytesIn)
		w.metric("sidecar_websockets_open 0\n")
	})
	t.Run("while the API takes nothing", func(t *testing.T) {
		left := make(chan struct{})
		w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
			_, _ = io.WriteString(conn, accepting(request))
			<-left
		}), withSockets, func(o *proxy.Options) { o.MaxBody = 1 << 40 })
		defer close(left)
		conn, _ := w.handshake("/ws", tokens(t).good(t))
		_, err := io.WriteString(conn, "\x82\xff\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00\x00")
		require.NoError(t, err)
		piece := make([]byte, 1<<16)
		for err == nil { // until nothing goes any more
			require.NoError(t, conn.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
			_, err = conn.Write(piece)
		}
		require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) // else its goodbye waits behind what it wrote
		require.NoError(t, conn.Close())
		require.Equal(t, "client_gone", w.ended().Reason)
	})
}

func TestWebSocketsEndWithTheirAPI(t *testing.T) {
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, accepting(request)+"\x81\x02hi")
	}), withSockets)
	_, reader := w.handshake("/ws", tokens(t).good(t))
	require.Equal(t, "\x81\x02hi", rest(reader), "and no goodbye that it did not say")
	r := w.ended()
	require.Equal(t, decision.Error, r.Outcome)
	require.Equal(t, "upstream_aborted", r.Reason)
}

// A client may close its side once it has said goodbye, and still hears the answer.
func TestHalfClosedWebSocket(t *testing.T) {
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(conn, accepting(request))
		_ = rest(r) // to the end of what the client says
		_, _ = io.WriteString(conn, "\x81\x04last\x88\x02\x03\xe8")
	}), withSockets)
	conn, reader := w.handshake("/ws", tokens(t).good(t))
	_, err := io.WriteString(conn, frame("\x88", "\x03\xe8", true))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	require.Equal(t, "\x81\x04last\x88\x02\x03\xe8", rest(reader))
	require.Equal(t, "capability", w.ended().Reason)
}

// stubborn is a listener whose connections cannot be handed over.
type stubborn struct{ net.Listener }

func (l stubborn) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return keeps{conn}, err
}

type keeps struct{ net.Conn }

func (c keeps) SetDeadline(time.Time) error { return net.ErrClosed }

func (c keeps) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return net.ErrClosed
	}
	return c.Conn.SetWriteDeadline(t)
}

// A connection that breaks before it is handed over leaves nothing behind.
func TestAbandonedWebSocket(t *testing.T) {
	heard := make(chan string, 1)
	var options proxy.Options
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(conn, accepting(request))
		heard <- rest(r)
	}), withSockets, func(o *proxy.Options) { options = *o })
	w.metrics = metrics.NewSet()
	options.Metrics = w.metrics
	p, err := proxy.New(options)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, stubborn{ln}) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request("GET", "/ws", tokens(t).good(t), handshake...))
	require.NoError(t, err)
	require.Empty(t, rest(conn))
	require.Empty(t, <-heard)
	require.Equal(t, "client_gone", w.ended().Reason)
	w.metric("sidecar_websockets_open 0\n")
	w.metric("sidecar_streams_open 0\n")
	cancel()
	require.NoError(t, <-served)
}

// Memory stays flat however large a message is.
func TestLargeWebSocketMessage(t *testing.T) {
	const size = 16 << 20
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, err := io.WriteString(conn, accepting(request))
		if err == nil {
			_, err = io.CopyN(io.Discard, r, 14+size)
		}
		if err == nil {
			_, err = io.WriteString(conn, "\x82\x7f\x00\x00\x00\x00\x01\x00\x00\x00")
		}
		if err == nil {
			_, err = io.CopyN(conn, zeros{}, size)
		}
		if err == nil {
			_, _ = io.WriteString(conn, "\x88\x00")
		}
	}), withSockets, func(o *proxy.Options) { o.MaxBody = size })
	conn, reader := w.handshake("/ws", tokens(t).good(t))
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	before := allocated()
	_, err := io.WriteString(conn, "\x82\xff\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	require.NoError(t, err)
	_, err = io.CopyN(conn, zeros{}, size)
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, reader, 10+size)
	require.NoError(t, err)
	require.Less(t, allocated()-before, uint64(4<<20), "bytes allocated by client, proxy and API together")
	require.Equal(t, "\x88\x00", rest(reader))
	r := w.ended()
	require.Equal(t, int64(14+size), r.BytesIn)
	require.Equal(t, int64(12+size), r.BytesOut)
	require.Equal(t, "capability", r.Reason)
}

// One whose handshake is answered while the proxy stops still hears of it.
func TestWebSocketThatOpensTooLate(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		<-answer
		_, _ = io.WriteString(conn, accepting(request))
		_ = rest(r)
	}), withSockets)
	conn := w.dial()
	_, err := io.WriteString(conn, request("GET", "/ws", tokens(t).good(t), handshake...))
	require.NoError(t, err)
	waitFor(t, "the API is asked", func() bool { return w.proxy.Upstreams()[0].InFlight == 1 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); w.stop() }()
	waitFor(t, "the port is closed", func() bool {
		late, err := net.Dial("tcp", w.addr)
		if err == nil {
			_ = late.Close()
		}
		return err != nil
	})
	close(answer)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	require.Equal(t, 101, response.StatusCode)
	require.Equal(t, "\x88\x0a\x03\xe9shutdown", rest(reader))
	<-stopped
	require.Equal(t, "shutdown", w.ended().Reason)
}
