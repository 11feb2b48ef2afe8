package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const routes = `
routes:
  - {methods: [GET], path: /notes, capability: notes:read}
  - {methods: [POST, PUT], path: /notes, capability: notes:write}
  - {methods: [GET, DELETE], path: "/notes/{id}", capability: notes:read}
  - {methods: [GET], path: /notes/latest, capability: secret:read}
  - {methods: [GET], path: /secret, capability: secret:read}
  - {methods: [GET, POST], path: /open, capability: public}
  - {methods: [OPTIONS], path: /open, capability: public}
  - {methods: [GET], path: "/pub/**", capability: public}
  - {methods: [GET], path: /token, capability: notes:read, forwardToken: true}
  - {methods: [GET], path: /lasting, capability: notes:read, onStale: last_good}
  - {methods: [GET], path: /shadow, capability: secret:read, mode: shadow}
  - {path: /mcp, capability: notes:read, protocol: mcp, rpc: {"tools/call ok": "notes:read"}}
`

// waitFor polls a condition for up to 30 s.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 2*time.Millisecond, what)
}

// persist tries again, for up to 30 s, what a world of little patience may refuse
// to anybody whom the machine holds up.
func persist(t testing.TB, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !try(); {
		require.True(t, time.Now().Before(end), what)
	}
}

// scripted answers each connection's requests with raw bytes.
func scripted(t *testing.T, answer func(request *http.Request, conn net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, ln, answer)
	return "http://" + ln.Addr().String()
}

func serve(t *testing.T, ln net.Listener, answer func(request *http.Request, conn net.Conn)) {
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					answer(request, conn)
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); open.Wait() })
}

// world is a proxy in front of an upstream, with everything around it in reach.
type world struct {
	t       testing.TB
	addr    string
	records *recorder
	revoked *revocations
	decider *decider
	logs    *obstest.Output
	metrics *metrics.Set
	proxy   *proxy.Proxy
	trust   *tls.Config // of clients, when the world speaks TLS
	stop    func()
}

func newWorld(t testing.TB, upstreamURL string, change ...func(*proxy.Options)) *world {
	t.Helper()
	table, err := route.Load([]byte(routes))
	require.NoError(t, err)
	w := &world{
		t: t, records: &recorder{}, revoked: &revocations{jti: map[string]bool{}}, decider: &decider{}, logs: &obstest.Output{}, metrics: metrics.NewSet(),
	}
	options := proxy.Options{
		Upstream: proxy.Upstream{URL: upstreamURL, KeepAlive: 100 * time.Millisecond, DialTimeout: time.Minute},
		Routes:   table, Verifier: verifier{tokens(t).verifier}, Revocations: w.revoked, Decider: w.decider, Recorder: w.records,
		Organizations:  func(id string) bool { return id == organization },
		PolicyRevision: func() string { return "rev-1" },
		Log:            slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics:        w.metrics,
	}
	for _, c := range change {
		c(&options)
	}
	w.proxy, err = proxy.New(options)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.proxy.Serve(ctx, ln) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
		if w.records.Admit() == nil {
			require.Zero(t, w.records.owes(), "what was sent has its record")
		}
	})
	t.Cleanup(w.stop)
	return w
}

// replace puts another route file into force.
func (w *world) replace(file string) {
	w.t.Helper()
	table, err := route.Load([]byte(file))
	require.NoError(w.t, err)
	require.NoError(w.t, w.proxy.Replace(table))
}

// dial opens a raw connection with a deadline of 20 s, which no default of the
// proxy's that a test shortens would meet.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// reply is one answer read off the wire.
type reply struct {
	*http.Response
	body string
}

func (r reply) reason() string { return r.Header.Get("X-AgentIdP-Error") }

// read reads one answer.
func read(t testing.TB, r *bufio.Reader, method string) reply {
	t.Helper()
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response, string(body)}
}

// raw sends bytes on a connection of their own and reads one answer.
func (w *world) raw(request string) reply {
	w.t.Helper()
	conn := w.dial()
	_, err := io.WriteString(conn, request)
	require.NoError(w.t, err)
	method, _, _ := strings.Cut(request, " ")
	return read(w.t, bufio.NewReader(conn), method)
}

// get asks with a token, if any, and extra header lines.
func (w *world) get(path, token string, lines ...string) reply {
	w.t.Helper()
	return w.raw(request("GET", path, token, lines...))
}

func request(method, path, token string, lines ...string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: api.example\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

// refuses asserts status, reason and form of a refusal.
func (w *world) refuses(r reply, status int, reason string) {
	w.t.Helper()
	require.Equal(w.t, status, r.StatusCode, r.body)
	require.Equal(w.t, reason, r.reason())
	var body struct {
		Code, Message string
		Details       struct{ Reason, DecisionID string }
	}
	require.NoError(w.t, strictJSON(r.body, &body))
	require.NotEmpty(w.t, body.Code)
	require.NotEmpty(w.t, body.Message)
	require.Equal(w.t, reason, body.Details.Reason)
	record := w.record(body.Details.DecisionID)
	require.Equal(w.t, reason, record.Reason)
	require.Equal(w.t, status, record.Status)
	require.Equal(w.t, "127.0.0.1", record.Peer)
}

// record finds the record of a decision.
func (w *world) record(id string) decision.Record {
	w.t.Helper()
	all := w.records.all()
	i := slices.IndexFunc(all, func(r decision.Record) bool { return r.DecisionID == id })
	require.GreaterOrEqual(w.t, i, 0, "no record of decision %q in %v", id, all)
	return all[i]
}

// closed asserts that the connection ends without another byte.
func closed(t testing.TB, r *bufio.Reader) {
	t.Helper()
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Empty(t, string(rest))
}
