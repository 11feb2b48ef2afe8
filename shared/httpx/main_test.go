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

const patience = time.Minute

// running is a server at work on a loopback port.
type running struct {
	addr   string
	ln     *httpx.Listener
	server *fasthttp.Server
	log    *obstest.Output
	stop   context.CancelFunc
	served chan error
}

// start serves until the test ends, or until stop; then it drains for 2 s.
func start(t *testing.T, opts httpx.Options, listen httpx.ListenOptions) *running {
	t.Helper()
	return startDraining(t, 2*time.Second, opts, listen)
}

func startDraining(t *testing.T, drain time.Duration, opts httpx.Options, listen httpx.ListenOptions) *running {
	t.Helper()
	r := &running{log: &obstest.Output{}, served: make(chan error, 1)}
	opts.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ln, err := httpx.Listen("127.0.0.1:0", listen)
	require.NoError(t, err)
	r.ln, r.addr, r.server = ln, ln.Addr().String(), httpx.NewServer(opts)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.served <- httpx.Serve(ctx, r.server, ln, drain) }()
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
// told by a quarter of a second of silence, unless the response says that it closes.
func (r *running) raw(t *testing.T, request string) answer {
	t.Helper()
	c := r.dial(t)
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	return read(t, c)
}

func read(t *testing.T, c net.Conn) answer {
	t.Helper()
	a, err := tryRead(c)
	require.NoError(t, err)
	return a
}

// tryRead is read where the server may have lost its patience with anybody, as the
// machine had no time for us.
func tryRead(c net.Conn) (answer, error) {
	br := bufio.NewReader(c)
	response, err := http.ReadResponse(br, nil)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	silence := 250 * time.Millisecond
	if response.Close {
		silence = patience
	}
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return answer{}, err
	}
	rest, err := io.ReadAll(br)
	return answer{status: response.StatusCode, header: response.Header, body: string(body), rest: string(rest), closed: !timedOut(err)}, nil
}

func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// persist tries again what a server of little patience may refuse to anybody whom
// the machine holds up.
func persist(t *testing.T, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !try(); {
		require.True(t, time.Now().Before(end), what)
	}
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}
