package httpx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends within ten seconds of its server
	)
}

const patience = 10 * time.Second

// running is a server at work on a loopback port.
type running struct {
	addr   string
	ln     *httpx.Listener
	server *fasthttp.Server
	log    *obstest.Output
	stop   context.CancelFunc
	served chan error
}

// start serves until the test ends, or until stop.
func start(t *testing.T, opts httpx.Options, listen httpx.ListenOptions) *running {
	t.Helper()
	r := &running{log: &obstest.Output{}, served: make(chan error, 1)}
	opts.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ln, err := httpx.Listen("127.0.0.1:0", listen)
	require.NoError(t, err)
	r.ln, r.addr, r.server = ln, ln.Addr().String(), httpx.NewServer(opts)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.served <- httpx.Serve(ctx, r.server, ln, 2*time.Second) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-r.served:
		case <-time.After(patience):
			t.Error("the server does not end")
		}
	})
	return r
}

// end stops the server and gives what Serve returned.
func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.served:
		r.served <- err
		return err
	case <-time.After(patience):
		t.Fatal("the server does not end")
		return nil
	}
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// answer is one response, and whether the connection ended after it.
type answer struct {
	status int
	header http.Header
	body   string
	rest   string // what followed
	closed bool
}

// raw sends bytes and reads the first response. A connection that stays open is
// told by a quarter of a second of silence.
func (r *running) raw(t *testing.T, request string) answer {
	t.Helper()
	c := r.dial(t)
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	return read(t, c)
}

func read(t *testing.T, c net.Conn) answer {
	t.Helper()
	br := bufio.NewReader(c)
	response, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(250*time.Millisecond)))
	rest, err := io.ReadAll(br)
	var network net.Error
	open := errors.As(err, &network) && network.Timeout()
	return answer{status: response.StatusCode, header: response.Header, body: string(body), rest: string(rest), closed: !open}
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}
