package proxy_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const socketRoutes = `
routes:
  - {methods: [GET, POST], path: /ws, capability: notes:read, websocket: true}
  - {methods: [GET], path: /lasting, capability: notes:read, websocket: true, onStale: last_good}
  - {methods: [GET], path: /browser, capability: notes:read, websocket: true, origins: [https://app.example]}
  - {methods: [GET], path: /secret, capability: secret:read, websocket: true}
  - {methods: [GET], path: /open, capability: public, websocket: true}
  - {methods: [GET], path: /plain, capability: notes:read}
`

// socketAPI is an upstream that speaks WebSocket by a library.
type socketAPI struct {
	*httptest.Server

	mu     sync.Mutex
	heads  []http.Header
	closed []websocket.StatusCode // how each connection ended for it; -1: without a Close frame
}

// newSocketAPI serves each WebSocket with serve, until that returns an error.
func newSocketAPI(t *testing.T, secure bool, serve func(context.Context, *websocket.Conn) error) *socketAPI {
	a := &socketAPI{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "plain")
			return
		}
		a.mu.Lock()
		a.heads = append(a.heads, r.Header)
		a.mu.Unlock()
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			InsecureSkipVerify: true, Subprotocols: []string{"mcp", "a2a"}, CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			return
		}
		c.SetReadLimit(-1)
		for err == nil {
			err = serve(context.Background(), c)
		}
		a.mu.Lock()
		a.closed = append(a.closed, websocket.CloseStatus(err))
		a.mu.Unlock()
		_ = c.CloseNow()
	}))
	if secure {
		a.StartTLS()
	} else {
		a.Start()
	}
	t.Cleanup(a.Close)
	return a
}

func (a *socketAPI) ended() []websocket.StatusCode {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.closed)
}

// trusted is the option of a proxy that connects to it.
func (a *socketAPI) trusted(o *proxy.Options) {
	if transport, ok := a.Client().Transport.(*http.Transport); ok && a.TLS != nil {
		o.Upstream.TLS = transport.TLSClientConfig.Clone()
	}
}

// echo sends one message back as it comes.
func echo(ctx context.Context, c *websocket.Conn) error {
	kind, r, err := c.Reader(ctx)
	if err != nil {
		return err
	}
	w, err := c.Writer(ctx, kind)
	if err != nil {
		return err
	}
	if _, err = io.Copy(w, r); err != nil {
		return err
	}
	return w.Close()
}

func withSockets(o *proxy.Options) {
	table, err := route.Load([]byte(socketRoutes))
	if err != nil {
		panic(err)
	}
	o.Routes = table
}

// newSocketWorld is a world in front of an API; secure: with TLS on both sides.
func newSocketWorld(t *testing.T, secure bool, serve func(context.Context, *websocket.Conn) error, change ...func(*proxy.Options)) (*world, *socketAPI) {
	api := newSocketAPI(t, secure, serve)
	change = append([]func(*proxy.Options){withSockets, api.trusted}, change...)
	if secure {
		w, _ := newSecureWorld(t, api.URL, change...)
		return w, api
	}
	return newWorld(t, api.URL, change...), api
}

// socket opens a WebSocket and gives it up to a minute.
func (w *world) socket(path, token string, o *websocket.DialOptions) (context.Context, *websocket.Conn, *http.Response) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w.t.Cleanup(cancel)
	c, response, err := w.dialSocket(ctx, path, token, o)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(-1)
	return ctx, c, response
}

func (w *world) dialSocket(ctx context.Context, path, token string, o *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	options := websocket.DialOptions{}
	if o != nil {
		options = *o
	}
	header := options.HTTPHeader.Clone()
	if header == nil {
		header = http.Header{}
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	options.HTTPHeader = header
	scheme := "ws://"
	if w.trust != nil {
		scheme = "wss://"
		options.HTTPClient = w.client(false)
		options.HTTPClient.Timeout = 0
	}
	return websocket.Dial(ctx, scheme+w.addr+path, &options)
}

// says asserts that a message comes back.
func says(t *testing.T, ctx context.Context, c *websocket.Conn, kind websocket.MessageType, message string) {
	t.Helper()
	require.NoError(t, c.Write(ctx, kind, []byte(message)))
	got, answer, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, kind, got)
	require.Equal(t, message, string(answer))
}

// ended waits for the one record of an end.
func (w *world) ended() decision.Record {
	w.t.Helper()
	waitFor(w.t, "the end is recorded", func() bool { return len(w.records.all()) > 0 })
	require.Len(w.t, w.records.all(), 1)
	return w.records.all()[0]
}

// bothWays runs a test without and with TLS.
func bothWays(t *testing.T, run func(t *testing.T, secure bool)) {
	t.Run("plain", func(t *testing.T) { run(t, false) })
	t.Run("TLS", func(t *testing.T) { run(t, true) })
}

func asClose(t *testing.T, err error) (e websocket.CloseError) {
	t.Helper()
	require.ErrorAs(t, err, &e)
	return e
}
