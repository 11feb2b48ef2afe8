package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

// A defect ends its tunnel, not the program.
func TestADefectStaysInItsTunnel(t *testing.T) {
	logs := &obstest.Output{}
	client, nearClient := net.Pipe()
	api, nearAPI := net.Pipe()
	x := &exchange{proxy: &Proxy{Options: Options{Log: slog.New(slog.NewTextHandler(logs, nil))}}}
	x.answer.Conn = &upstream.Conn{Conn: nearAPI}
	tunnel := &tunnel{x: x, client: &watched{Conn: nearClient}}
	tunnel.guarded(func() { panic("boom") })
	require.Equal(t, "internal", tunnel.ended().reason)
	require.Contains(t, logs.String(), "boom")
	require.False(t, tunnel.stop(tunnel.x.proxy.shutdown()), "the first reason stays")
	for _, c := range []net.Conn{client, api} {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "both are cut off in the end")
	}
}

// acted is a connection whose ends are functions. Without one it says and takes nothing.
type acted struct {
	net.Conn
	read, write func(p []byte) (int, error)
	half        func() error
}

func (c *acted) Read(p []byte) (int, error)        { return c.read(p) }
func (c *acted) Write(p []byte) (int, error)       { return c.write(p) }
func (c *acted) CloseWrite() error                 { return c.half() }
func (c *acted) Close() error                      { return nil }
func (c *acted) SetReadDeadline(t time.Time) error { return nil }

func (c *acted) SetWriteDeadline(t time.Time) error { return nil }

// pieces is read one after the other.
func pieces(all ...string) func(p []byte) (int, error) {
	return func(p []byte) (int, error) {
		if len(all) == 0 {
			return 0, io.EOF
		}
		n := copy(p, all[0])
		all = all[1:]
		return n, nil
	}
}

func actedTunnel(t *testing.T) (run *tunnel, client, api *acted) {
	client, api = &acted{half: func() error { return nil }}, &acted{half: func() error { return nil }}
	x := &exchange{proxy: &Proxy{Options: Options{Drain: time.Hour}}}
	x.answer.Conn = &upstream.Conn{Conn: api}
	run = &tunnel{x: x, client: &watched{Conn: client}, idle: time.Minute}
	run.in.tracker = websocket.Tracker{Client: true}
	t.Cleanup(func() {
		if run.sever != nil {
			run.sever.Stop()
		}
	})
	return run, client, api
}

const maskedHead = "\x82\x8a\x00\x00\x00\x00" // of ten bytes

// The permission may end while the proxy waits for a frame: that takes no Drain.
func TestNoPermissionLastsAsLongAsTheDrain(t *testing.T) {
	run, _, _ := actedTunnel(t)
	require.True(t, run.stop(run.x.proxy.shutdown()))
	require.False(t, run.stop(badFrame))
	require.False(t, run.cut(clientGone))
	require.True(t, run.cut(revocationsOld))
	require.Equal(t, revocationsOld.reason, run.ended().reason)
	require.Less(t, time.Until(run.until), time.Minute)
	require.False(t, run.cut(overloaded))
}

// What was sent before the end, but read after it, is not passed on.
func TestNothingOfAClientPassesTheEnd(t *testing.T) {
	run, client, api := actedTunnel(t)
	came, passed := pieces(maskedHead+"first", "later"), ""
	client.read = func(p []byte) (int, error) {
		if passed != "" {
			run.cut(revocationsOld)
		}
		return came(p)
	}
	api.write = func(p []byte) (int, error) { passed += string(p); return len(p), nil }
	run.send(client)
	require.Equal(t, maskedHead+"first", passed)
}

// A goodbye behind a piece of a frame would be read as the rest of it.
func TestNoGoodbyeInsideAFrame(t *testing.T) {
	t.Run("of the client", func(t *testing.T) {
		run, client, api := actedTunnel(t)
		client.read = pieces(maskedHead + "0123456789")
		writes := 0
		api.write = func(p []byte) (int, error) {
			writes++
			run.cut(revocationsOld)
			return len(p) - 3, os.ErrDeadlineExceeded
		}
		run.send(client)
		require.Equal(t, 1, writes)
	})
	t.Run("of the API", func(t *testing.T) {
		run, client, _ := actedTunnel(t)
		run.x.answer.Reader = bufio.NewReader(strings.NewReader("\x82\x0a0123456789"))
		writes := 0
		client.write = func(p []byte) (int, error) {
			writes++
			run.cut(revocationsOld)
			return len(p) - 3, os.ErrDeadlineExceeded
		}
		run.receive()
		require.Equal(t, 1, writes)
	})
}

// An API that says goodbye and takes nothing more is heard to its end.
func TestTheLastWordsOfAnAPIArePassedOn(t *testing.T) {
	run, client, api := actedTunnel(t)
	client.read = pieces(maskedHead + "0123456789")
	api.write = func([]byte) (int, error) { return 0, io.ErrClosedPipe }
	run.send(client)
	require.Nil(t, run.ended())
	require.True(t, run.closing(), "but not for long")
	run.x.answer.Reader = bufio.NewReader(strings.NewReader("\x88\x02\x03\xe8"))
	heard := ""
	client.write = func(p []byte) (int, error) { heard += string(p); return len(p), nil }
	run.receive()
	require.Equal(t, "\x88\x02\x03\xe8", heard)
	require.Equal(t, closed, *run.ended())
}

// TLS may wait to say that our side ends; who judges all streams must not.
func TestAHalfCloseHoldsNobodyUp(t *testing.T) {
	run, _, api := actedTunnel(t)
	begun, over, free := make(chan struct{}), make(chan struct{}), make(chan struct{})
	api.half = func() error { close(begun); <-free; return nil }
	go func() { defer close(over); run.halfClose() }()
	<-begun
	stopped := make(chan bool, 1)
	go func() { stopped <- run.cut(revocationsOld) }()
	select {
	case first := <-stopped:
		require.True(t, first)
	case <-time.After(10 * time.Second):
		t.Error("the judge waits")
	}
	close(free)
	<-over
}

// The exchange of a tunnel that was not opened is used again.
func TestATunnelThatIsOverIsNotStopped(t *testing.T) {
	p := &Proxy{lives: lives{open: map[*live]struct{}{}}}
	gone := &live{over: true, tunnel: &tunnel{x: &exchange{}, client: &watched{}}}
	p.lives.open[gone] = struct{}{}
	p.stopTunnels()
	require.Nil(t, gone.tunnel.ended())
	require.True(t, p.tunnels.leaving.Load())
}
