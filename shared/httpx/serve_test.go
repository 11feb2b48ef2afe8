package httpx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
)

func TestServeDrains(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	r := startDraining(t, patience/2, httpx.Options{Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/slow" {
			close(entered)
			<-release
		}
		ctx.SetBodyString("done")
	}}, httpx.ListenOptions{})
	idle := r.dial(t)
	_, err := io.WriteString(idle, plain)
	require.NoError(t, err)
	require.Equal(t, 200, read(t, idle).status)
	slow := r.dial(t)
	_, err = io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	require.NoError(t, err)
	<-entered
	silent := r.dial(t)
	eventually(t, func() bool { return r.ln.Open() == 3 }, "all connected")

	r.stop()
	require.NoError(t, idle.SetReadDeadline(time.Now().Add(patience)))
	_, err = idle.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "idle connections are closed")
	_, err = silent.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "silent connections are closed")
	_, err = net.Dial("tcp", r.addr)
	require.Error(t, err, "nothing is accepted")
	close(release)
	a := read(t, slow)
	require.Equal(t, "done", a.body, "the request in flight is answered")
	require.True(t, a.closed)
	require.NoError(t, r.end(t))
	require.Zero(t, r.ln.Open())
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) {
	entered := make(chan struct{})
	r := start(t, httpx.Options{Handler: func(ctx *fasthttp.RequestCtx) {
		left := httpx.Gone(ctx)
		close(entered)
		for !left() {
			time.Sleep(time.Millisecond)
		}
	}}, httpx.ListenOptions{})
	c := r.dial(t)
	_, err := io.WriteString(c, plain)
	require.NoError(t, err)
	<-entered
	err = r.end(t)
	require.ErrorIs(t, err, httpx.ErrCut)
	require.EqualError(t, err, "connections were cut: 1 were open after 2s")
	require.Zero(t, r.ln.Open())
}

func TestServeClosesHijackedConnections(t *testing.T) {
	entered := make(chan struct{})
	r := start(t, httpx.Options{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Hijack(func(c net.Conn) {
			close(entered)
			_, err := io.Copy(io.Discard, c) // a tunnel with nothing to say
			if err == nil {
				panic("the tunnel ended by itself")
			}
		})
	}}, httpx.ListenOptions{})
	c := r.dial(t)
	_, err := io.WriteString(c, plain)
	require.NoError(t, err)
	<-entered
	require.NoError(t, r.end(t))
	require.Zero(t, r.ln.Open())
}

func TestServeLetsHijackedConnectionsEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := startDraining(t, patience/2, httpx.Options{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(c net.Conn) {
			close(entered)
			<-release
			_, _ = io.WriteString(c, "the rest of it")
		})
	}}, httpx.ListenOptions{})
	c := r.dial(t)
	_, err := io.WriteString(c, plain)
	require.NoError(t, err)
	<-entered
	r.stop()
	// Longer than what is done already has to be on its way; the server has let go of the connection since.
	late := time.AfterFunc(time.Second, func() { close(release) })
	defer late.Stop()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "the rest of it", string(all))
	require.NoError(t, r.end(t))
	require.Zero(t, r.ln.Open())
}

func TestServeBeforeItBegan(t *testing.T) {
	ln, err := httpx.Listen("127.0.0.1:0", httpx.ListenOptions{})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, httpx.Serve(ended, httpx.NewServer(httpx.Options{Handler: func(*fasthttp.RequestCtx) {}}), ln, time.Second))
	_, err = net.Dial("tcp", ln.Addr().String())
	require.Error(t, err)
}

func TestServeReportsABrokenListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer inner.Close()
	broken := errors.New("broken for good")
	ln := httpx.NewListener(&failing{Listener: inner, errs: []error{broken}}, httpx.ListenOptions{})
	require.ErrorIs(t, httpx.Serve(context.Background(), httpx.NewServer(httpx.Options{Handler: func(*fasthttp.RequestCtx) {}}), ln, time.Second), broken)
}
