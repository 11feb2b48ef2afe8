package forwardauth_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"), // fasthttp's clock, which never ends
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// engine stands for the proxy: it holds questions to the guard, as the proxy
// does, and answers what the path asks for: /status/429 is refused with 429.
type engine struct {
	mu    sync.Mutex
	asked []asked
	hold  chan struct{} // not nil: answers wait for it
}

// asked is a question, kept beyond its answer, and what the guard found.
type asked struct {
	Method, Target, Host, Fields string
	Client, Proto                string
	Reason                       string
	head                         guard.Head
}

func (e *engine) ask(q proxy.Question) proxy.Verdict {
	if string(q.Request.Target) == "/panic" {
		panic("a defect")
	}
	q.Request.Fields = bytes.Clone(q.Request.Fields)
	a := asked{
		Method: string(q.Request.Method), Target: string(q.Request.Target), Fields: string(q.Request.Fields),
		Client: q.Client.String(), Proto: q.Proto,
	}
	why := q.Doubt
	if why == nil {
		why = guard.DefaultLimits.Check(q.Request, &a.head)
		a.Host = string(a.head.Host)
	}
	if why != nil {
		a.Reason = why.Reason
	}
	e.mu.Lock()
	e.asked = append(e.asked, a)
	hold := e.hold
	e.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if why != nil {
		return refused(why.Status, why.Reason)
	}
	if status, isStatus := strings.CutPrefix(a.Target, "/status/"); isStatus {
		n, _ := strconv.Atoi(status)
		return refused(n, "because")
	}
	v := proxy.Verdict{Allowed: true, Status: 200, DecisionID: "decision-1", Forwarded: [][2]string{{"X-Request-Id", "request-1"}}}
	v.Fields = [][2]string{{"X-Agent-Id", "agent-1"}, {"X-Agent-Organization", "default"}, {"X-Agent-Client-Id", "client-1"}, {"X-Agent-Scope", "notes:read notes:write"}}
	if a.Target == "/wide" {
		v.Fields[3][1] = wide
	}
	if a.Target == "/open" {
		for i := range v.Fields {
			v.Fields[i][1] = ""
		}
	}
	return v
}

// wide is a longer scope than a token can have.
var wide = strings.TrimSpace(strings.Repeat("notes:read ", 600))

func refused(status int, reason string) proxy.Verdict {
	return proxy.Verdict{
		Status: status, Reason: reason, DecisionID: "decision-1", Body: []byte(body(reason)),
		Fields: [][2]string{
			{"Content-Type", "application/json"}, {"X-AgentIdP-Error", reason}, {"X-Request-Id", "request-1"},
			{"WWW-Authenticate", `Bearer realm="agentidp", error="x"`}, {"Retry-After", "7"}, {"Allow", "GET"},
			{"RateLimit-Policy", `"route";q=1;w=60`}, {"RateLimit", `"route";r=0;t=60`},
		},
	}
}

func body(reason string) string {
	return `{"code":"X","message":"it is refused","details":{"reason":"` + reason + `","decisionId":"decision-1"}}`
}

func (e *engine) all() []asked {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]asked(nil), e.asked...)
}

// stage is a forward-auth listener before an engine.
type stage struct {
	*engine
	t       *testing.T
	addr    string
	logs    *obstest.Output
	metrics *metrics.Set
	stop    func() error // ends Serve, once
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

func newStage(t *testing.T, change ...func(*forwardauth.Options)) *stage {
	t.Helper()
	s := &stage{engine: &engine{}, t: t, logs: &obstest.Output{}, metrics: metrics.NewSet()}
	options := forwardauth.Options{
		Ask: s.ask, Peers: loopback, Drain: 30 * time.Second, Metrics: s.metrics,
		Log: slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&options)
	}
	server, err := forwardauth.New(options)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() { _ = s.stop() })
	return s
}

// reply is one answer.
type reply struct {
	*http.Response
	body string
	ends bool // the connection, after it
}

// raw sends bytes and reads the one answer to them.
func raw(t *testing.T, address, request string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(r, &http.Request{Method: method})
	require.NoError(t, err)
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return reply{answer, string(content), answer.Close}
}

func (s *stage) raw(request string) reply {
	s.t.Helper()
	return raw(s.t, s.addr, request)
}

// question is what a proxy asks at a path, with field lines.
func question(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: agentidp\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// told are the fields of a convention.
func nginxTells(method, target string) []string {
	return []string{"X-Original-Method: " + method, "X-Original-URI: " + target, "X-Original-Host: api.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7"}
}

func traefikTells(method, target string) []string {
	return []string{"X-Forwarded-Method: " + method, "X-Forwarded-Uri: " + target, "X-Forwarded-Host: api.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7"}
}

func (s *stage) counts(name string) string {
	s.t.Helper()
	var page bytes.Buffer
	s.metrics.WritePrometheus(&page)
	for line := range strings.Lines(page.String()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
