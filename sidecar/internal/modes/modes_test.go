package modes_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth"
	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth/proxytest"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// answer is what a mode makes of a request.
type answer struct {
	allowed    bool
	status     int
	reason     string   // of a refusal
	decisionID string   // as the client, the asking proxy or the API was told
	arrived    *arrival // at the API, or what would be
}

// mode is a way to use the sidecar. open starts what it needs and answers how a
// request is sent.
type mode struct {
	name string
	open func(*scene) func(*testing.T, request) answer
}

var modes = []mode{
	{"proxy", asProxy},
	{"ask-nginx", asNginx}, {"ask-forwarded", asCaddy},
	{"nginx", behindNginx}, {"caddy", behindCaddy},
	{"ext_authz", asEnvoy}, {"ext_authz-joined", asJoiningEnvoy},
}

// realEnvoy is a mode with the build tag envoy only.
const realEnvoy = "envoy"

// TestEveryModeDecidesAlike is the golden test: what a mode decides, says of the
// client and records is what the proxy itself does.
func TestEveryModeDecidesAlike(t *testing.T) {
	w := newWorld(t)
	all := requests(t, w.tokens)
	require.Len(t, all, 60)
	told := map[string]map[string][]string{} // who asks, as the proxy tells the API, by request; that named public is of any public one
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			s := w.scene(t)
			send := mode.open(s)
			for _, r := range all {
				t.Run(r.name, func(t *testing.T) { s.in(t).compare(r, r.want(mode.name), mode.name, send, told) })
			}
		})
	}
}

func (s *scene) in(t *testing.T) *scene {
	c := *s
	c.t = t
	return &c
}

func (s *scene) compare(r request, want want, mode string, send func(*testing.T, request) answer, told map[string]map[string][]string) {
	recorded, arrived := len(s.records.since(0)), len(s.api.since(0))
	if want.itself && strings.HasPrefix(mode, "ask-") || want.itself && strings.HasPrefix(mode, "ext_authz") {
		return // who would ask, asks nothing
	}
	got := send(s.t, r)
	if want.itself {
		require.Empty(s.t, s.records.since(recorded), "asked")
		require.False(s.t, got.allowed)
		require.Equal(s.t, want.status, got.status)
		require.Empty(s.t, s.api.since(arrived))
		return
	}
	// The proxy's own record may come after the answer.
	require.Eventually(s.t, func() bool { return len(s.records.since(recorded)) > 0 }, time.Minute, time.Millisecond, "%+v", got)
	records := s.records.since(recorded)
	require.Len(s.t, records, 1)
	record := records[0]
	require.Equal(s.t, want.reason, record.Reason)
	require.Equal(s.t, want.allowed, record.Outcome == decision.Allowed)
	require.Equal(s.t, want.allowed, got.allowed, "%+v", got)
	require.Equal(s.t, record.DecisionID, got.decisionID)
	require.Equal(s.t, "127.0.0.1", record.Peer)
	if !want.allowed {
		require.Equal(s.t, want.reason, got.reason)
		require.Equal(s.t, want.status, record.Status)
		require.Equal(s.t, want.status, got.status)
		require.Empty(s.t, s.api.since(arrived))
		return
	}
	require.NotNil(s.t, got.arrived)
	method, target, _ := r.head()
	require.Equal(s.t, method, got.arrived.Method)
	require.Equal(s.t, cmp.Or(want.target, target), got.arrived.Target)
	identity := identityOf(got.arrived.Header)
	if mode == "proxy" {
		told[r.name] = identity
	}
	if id := got.arrived.Header.Get(proxy.DecisionHeader); id != "" {
		require.Equal(s.t, record.DecisionID, id)
	}
	expected := maps.Clone(told[r.name])
	if expected == nil { // the proxy refuses it
		expected = maps.Clone(told[record.Reason])
	}
	delete(expected, want.drops)
	require.Equal(s.t, expected, identity)
}

// identityOf is everything in the header that an API could take for the
// sidecar's word, by its name as the most lenient reader has it.
func identityOf(header http.Header) map[string][]string {
	found := map[string][]string{}
	for name, values := range header {
		folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		for _, family := range []string{"x-agent-", "authorization", "x-original", "x-http-method", "x-rewrite", "x-real", "forwarded", "x-forwarded-"} {
			if strings.HasPrefix(folded, family) {
				found[folded] = append(found[folded], values...)
			}
		}
	}
	return found
}

// listen runs a server until the test ends.
func listen(t *testing.T, serve func(context.Context, net.Listener) error) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return ln.Addr().String()
}

// exchange sends raw bytes on a connection of their own and reads one answer.
func exchange(t *testing.T, address, raw, method string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, raw)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

// through sends requests to a proxy in front of the API.
func (s *scene) through(address string) func(*testing.T, request) answer {
	return func(t *testing.T, r request) answer {
		before := len(s.api.since(0))
		method, _, _ := r.head()
		response, body := exchange(t, address, r.raw, method)
		a := answer{status: response.StatusCode, reason: response.Header.Get(proxy.ErrorHeader), decisionID: decisionOf(body)}
		if arrived := s.api.since(before); len(arrived) > 0 {
			require.Len(t, arrived, 1)
			require.Equal(t, 200, a.status)
			a.allowed, a.arrived, a.decisionID = true, &arrived[0], arrived[0].Header.Get("X-Request-Id")
		}
		return a
	}
}

// decisionOf is the id in the body of a refusal.
func decisionOf(body string) string {
	var refusal struct{ Details struct{ DecisionID string } }
	if json.Unmarshal([]byte(body), &refusal) != nil {
		return ""
	}
	return refusal.Details.DecisionID
}

func asProxy(s *scene) func(*testing.T, request) answer {
	return s.through(listen(s.t, s.proxy.Serve))
}

var local = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func (s *scene) forwardAuth() (address string) {
	server, err := forwardauth.New(forwardauth.Options{
		Ask: s.proxy.Ask, Peers: local, Drain: time.Second, Log: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
	})
	require.NoError(s.t, err)
	return listen(s.t, server.Serve)
}

func behindNginx(s *scene) func(*testing.T, request) answer {
	return s.through(proxytest.Nginx(s.t, s.api.URL, "http://"+s.forwardAuth()))
}

func behindCaddy(s *scene) func(*testing.T, request) answer {
	return s.through(proxytest.Caddy(s.t, s.api.URL, "http://"+s.forwardAuth()))
}

func asNginx(s *scene) func(*testing.T, request) answer {
	return s.asking("/auth/nginx", [5]string{"X-Original-Method", "X-Original-URI", "X-Original-Host", "X-Forwarded-Proto", "X-Forwarded-For"})
}

func asCaddy(s *scene) func(*testing.T, request) answer {
	return s.asking("/auth/forwarded", [5]string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For"})
}

// asking asks the forward-auth listener as a proxy would that keeps the
// client's fields to itself where they could be taken for its own.
func (s *scene) asking(path string, names [5]string) func(*testing.T, request) answer {
	address := s.forwardAuth()
	return func(t *testing.T, r request) answer {
		method, target, fields := r.head()
		lines := []string{"GET " + path + " HTTP/1.1", "Host: sidecar"}
		var held []string
		host := ""
		for _, field := range fields {
			switch name := strings.ToLower(field[0]); {
			case name == "host":
				host = field[1]
			case strings.HasPrefix(name, "x-forwarded-"), strings.HasPrefix(name, "x-original-"), name == "connection", name == "content-length":
			default:
				held = append(held, field[0]+": "+field[1])
			}
		}
		for i, value := range []string{method, target, host, "http", "127.0.0.1"} {
			lines = append(lines, names[i]+": "+value)
		}
		raw := strings.Join(append(append(lines, held...), "", ""), "\r\n")
		response, body := exchange(t, address, raw, "GET")
		a := answer{status: response.StatusCode, reason: response.Header.Get(proxy.ErrorHeader), decisionID: response.Header.Get(proxy.DecisionHeader)}
		if a.status != http.StatusOK {
			require.Equal(t, decisionOf(body), a.decisionID)
			if status := response.Header.Get("X-AgentIdP-Status"); status != "" {
				a.status, _ = strconv.Atoi(status) // nginx knows 401 and 403 only
			}
			return a
		}
		a.allowed = true
		a.arrived = &arrival{Method: method, Target: target, Header: http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {host}, "X-Forwarded-Proto": {"http"}, // which it tells itself
		}}
		for _, name := range []string{"X-Agent-Id", "X-Agent-Organization", "X-Agent-Client-Id", "X-Agent-Scope"} {
			if value := response.Header.Get(name); value != "" {
				a.arrived.Header.Set(name, value)
			}
		}
		return a
	}
}
