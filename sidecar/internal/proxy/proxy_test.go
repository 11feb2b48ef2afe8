package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func TestTheUpstreamSeesTheJudgedBytes(t *testing.T) {
	up := fastUpstream(t)
	w := newWorld(t, up.URL)
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r := w.get("/notes/a%20b?x=%2e%2e/a&y=://", tokens(t).good(t), "traceparent: "+trace, "X-Custom:  1 ")
	require.Equal(t, 200, r.StatusCode)
	got := up.all()[0]
	require.Equal(t, "/notes/a%20b?x=%2e%2e/a&y=://", got.Target)
	require.Equal(t, strings.TrimPrefix(up.URL, "http://"), got.Host)
	require.Equal(t, []string{"1"}, got.Header["X-Custom"])
	require.Regexp(t, "^"+trace[:36]+"[0-9a-f]{16}-01$", got.Header["Traceparent"][0])
	require.NotEqual(t, trace, got.Header["Traceparent"][0], "the span is ours")
	require.Equal(t, []string{agentID}, got.Header["X-Agent-Id"])
	require.Equal(t, []string{organization}, got.Header["X-Agent-Organization"])
	require.Equal(t, []string{clientID}, got.Header["X-Agent-Client-Id"])
	require.Equal(t, []string{"notes:read notes:write"}, got.Header["X-Agent-Scope"])
	record := w.records.all()[0]
	require.Equal(t, []string{record.RequestID}, got.Header["X-Request-Id"])
	require.Equal(t, record.RequestID, r.Header.Get("X-Request-Id"))
	require.Equal(t, record.DecisionID, record.RequestID)
	require.Equal(t, "/notes/a%20b", record.Path)
	require.Equal(t, "/notes/{id}", record.RouteID)
	require.Equal(t, "rev-1", record.PolicyRevision)
	require.Equal(t, "api.example", record.Host)
	_, err := time.Parse(decision.TimeLayout, record.Time)
	require.NoError(t, err)

	for _, bad := range []string{"", "x", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", strings.ToUpper(trace), "01" + trace[2:], trace + "0"} {
		w.get("/notes", tokens(t).good(t), "traceparent: "+bad)
		all := up.all()
		require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`, all[len(all)-1].Header["Traceparent"][0])
	}
	require.Equal(t, policy.Input{
		Agent:   policy.Agent{ID: agentID, OrganizationID: organization, ClientID: clientID},
		Token:   policy.Token{JTI: record.JTI, Audience: []string{audience}, Scope: []string{"notes:read", "notes:write"}, ExpiresAt: w.decider.inputs[0].Token.ExpiresAt},
		Request: policy.Request{Method: "GET", Host: "api.example", Path: "/notes/a%20b", Peer: "127.0.0.1"},
		Route:   policy.Route{ID: "/notes/{id}", Capability: "notes:read"},
	}, w.decider.inputs[0])
}

func TestTrustedPeersSpeakForClients(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL, func(o *proxy.Options) { o.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	r := w.get("/open", "", "X-Request-Id: Req_1.2-3", "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 127.0.0.9", "X-Forwarded-Proto: https")
	require.Equal(t, "Req_1.2-3", r.Header.Get("X-Request-Id"))
	got := up.all()[0].Header
	require.Equal(t, []string{"192.0.2.7"}, got["X-Forwarded-For"])
	require.Equal(t, []string{"https"}, got["X-Forwarded-Proto"])
	require.Equal(t, []string{"Req_1.2-3"}, got["X-Request-Id"])
	require.Equal(t, "192.0.2.7", w.records.all()[0].Peer)
	require.Equal(t, "Req_1.2-3", w.records.all()[0].RequestID)
	for _, bad := range []string{"a b", "", strings.Repeat("a", 65), "a/b", "ä"} {
		r = w.get("/open", "", "X-Request-Id: "+bad, "X-Forwarded-Proto: gopher")
		require.Len(t, r.Header.Get("X-Request-Id"), 36)
	}
}

func TestExpectation(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL, func(o *proxy.Options) { o.HeadTimeout = 200 * time.Millisecond })
	good := tokens(t).good(t)
	asks := func(expectation string) (net.Conn, *bufio.Reader) {
		conn := w.dial()
		_, err := io.WriteString(conn, request("POST", "/notes", good, "Content-Length: 5", "Expect: "+expectation))
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = reader.ReadString('\n')
		require.NoError(t, err)
		return conn, reader
	}
	for _, expectation := range []string{"100-continue", "100-Continue"} {
		conn, reader := asks(expectation)
		_, err := io.WriteString(conn, "hello")
		require.NoError(t, err)
		require.Equal(t, 200, read(t, reader, "POST").StatusCode)
	}
	require.Len(t, up.all(), 2)
	require.Len(t, w.records.all(), 2, "judged once")
	require.NotContains(t, up.all()[0].Header, "Expect")

	// The body that was asked for never comes: one record, in the agent's name.
	_, reader := asks("100-continue")
	r := read(t, reader, "POST")
	require.Equal(t, 408, r.StatusCode)
	closed(t, reader)
	conn, _ := asks("100-continue")
	require.NoError(t, conn.Close())
	waitFor(t, "records", func() bool { return len(w.records.all()) == 4 })
	for _, record := range w.records.all()[2:] {
		require.Equal(t, "body_incomplete", record.Reason)
		require.Equal(t, agentID, record.AgentID)
	}
	require.Len(t, up.all(), 2)
}

// What changed while the client kept its body back counts.
func TestExpectationIsJudgedAgain(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t, map[string]any{"jti": "jti-1"})
	for i, change := range []struct {
		change func()
		status int
		reason string
	}{
		{func() { w.revoked.set(func(r *revocations) { r.jti["jti-1"] = true }) }, 401, "token_revoked"},
		{func() { w.revoked.set(func(r *revocations) { clear(r.jti); r.stale = true }) }, 503, "revocations_stale"},
		{func() {
			w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{Reason: "night"}, nil })
		}, 403, "night"},
		{func() { w.decider.set(func(policy.Input) (policy.Decision, error) { panic("boom") }) }, 500, "internal"},
	} {
		conn := w.dial()
		_, err := io.WriteString(conn, request("POST", "/notes", good, "Content-Length: 5", "Expect: 100-continue"))
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = reader.ReadString('\n')
		require.NoError(t, err)
		change.change()
		_, err = io.WriteString(conn, "hello")
		require.NoError(t, err)
		w.refuses(read(t, reader, "POST"), change.status, change.reason)
		require.NoError(t, conn.Close())
		w.revoked.set(func(r *revocations) { clear(r.jti); r.stale = false })
		w.decider.set(nil)
		require.Len(t, w.records.all(), i+1, "one record")
		require.Equal(t, agentID, w.records.all()[i].AgentID)
	}
	require.Empty(t, up.all())
}

// The record names the policy that answered, not the one in force before.
func TestRecordsNameThePolicyThatAnswered(t *testing.T) {
	w := newWorld(t, stdUpstream(t).URL)
	for i, deny := range []error{nil, errors.New("inner")} {
		w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{Revision: "rev-2"}, deny })
		w.get("/notes", tokens(t).good(t))
		require.Equal(t, "rev-2", w.records.all()[i].PolicyRevision)
	}
}

// C11: slow heads, bodies and readers end in time, and nobody else notices.
func TestSlowClientsAreCutOff(t *testing.T) {
	big := strings.Repeat("x", 64<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.URL.Path == "/notes/big" {
			_, _ = io.WriteString(w, big)
		}
	}))
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) {
		o.HeadTimeout, o.BodyWindow, o.WriteTimeout, o.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	})
	good := tokens(t).good(t)
	drip := func(conn net.Conn, text string) {
		for _, c := range []byte(text) {
			if _, err := conn.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	head, body, reader, idle := w.dial(), w.dial(), w.dial(), w.dial()
	go drip(head, request("GET", "/notes", good))
	_, err := io.WriteString(body, request("POST", "/notes", good, "Content-Length: 1000"))
	require.NoError(t, err)
	go drip(body, strings.Repeat("x", 1000))
	_, err = io.WriteString(reader, request("GET", "/notes/big", good))
	require.NoError(t, err)

	w.refuses(read(t, bufio.NewReader(head), "GET"), 408, "request_timeout")
	w.refuses(read(t, bufio.NewReader(body), "POST"), 408, "body_timeout")
	closed(t, bufio.NewReader(idle)) // a connection that says nothing gets no answer
	waitFor(t, "the slow reader's end", func() bool {
		for _, r := range w.records.all() {
			if r.Path == "/notes/big" {
				return true
			}
		}
		return false
	})
	n, err := io.Copy(io.Discard, reader)
	require.Less(t, n, int64(len(big)), err)
	require.Equal(t, 200, w.get("/notes", good).StatusCode)
}

func TestOverloadIsRefusedBeforeCryptography(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL, func(o *proxy.Options) { o.Judging, o.JudgingWait = 1, 50*time.Millisecond })
	entered, release := make(chan struct{}), make(chan struct{})
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		entered <- struct{}{}
		<-release
		return policy.Decision{Allow: true, Reason: policy.ReasonCapability}, nil
	})
	first := make(chan reply, 1)
	go func() { first <- w.get("/notes", tokens(t).good(t)) }()
	<-entered
	r := w.get("/notes", tokens(t).good(t))
	w.refuses(r, 503, "overloaded")
	require.Contains(t, r.body, `"OVERLOADED"`)
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	w.decider.set(nil)
	close(release)
	require.Equal(t, 200, (<-first).StatusCode)
	require.Equal(t, 200, w.get("/notes", tokens(t).good(t)).StatusCode)
}

func TestAuditBackPressure(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	w.records.set(true, false) // full: takes what is under way, admits nothing
	r := w.get("/notes", good)
	require.Equal(t, 503, r.StatusCode)
	require.Equal(t, "audit_unavailable", r.reason())
	require.Contains(t, r.body, `"AUDIT_UNAVAILABLE"`)
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	require.Equal(t, "audit_unavailable", w.get("/secret", good).reason())
	require.Equal(t, "audit_unavailable", w.get("/nowhere", good).reason())
	require.Empty(t, up.all())
	// Strangers cause no back-pressure and feel none: they are counted.
	require.Equal(t, 401, w.get("/notes", "").StatusCode)
	require.Equal(t, 200, w.get("/open", "").StatusCode)
	require.Equal(t, 400, w.get("//", "").StatusCode)
	for _, record := range w.records.all() {
		require.NotEmpty(t, record.AgentID)
	}
	w.records.set(false, true) // broken: even a refusal cannot be kept
	require.Equal(t, "audit_unavailable", w.get("/notes", good).reason())
	w.records.set(false, false)
	require.Equal(t, 200, w.get("/notes", good).StatusCode)

	// It breaks while the upstream works: the answer is withheld.
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.records.set(false, true) }))
	defer server.Close()
	other := newWorld(t, server.URL)
	other.records = w.records
	late := newWorld(t, server.URL, func(o *proxy.Options) { o.Recorder = w.records })
	require.Equal(t, "audit_unavailable", late.get("/notes", good).reason())
	w.records.set(false, false)

	w.stop()
	counted := map[string]int64{}
	for _, record := range w.records.all() {
		if record.AgentID == "" {
			counted[record.Reason] += record.Count
			require.Equal(t, "127.0.0.1/32", record.Peer)
			require.NotEmpty(t, record.DecisionID)
		}
	}
	require.Equal(t, map[string]int64{"token_missing": 1, "public": 1, "path_empty_segment": 1}, counted)
}

func TestFloodsAreFolded(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	conn := w.dial()
	reader := bufio.NewReader(conn)
	for range 100 {
		_, err := io.WriteString(conn, request("GET", "/notes", ""))
		require.NoError(t, err)
		require.Equal(t, 401, read(t, reader, "GET").StatusCode)
	}
	require.Len(t, w.records.all(), 20)
	require.Equal(t, 200, w.get("/notes", tokens(t).good(t)).StatusCode)
	require.Len(t, w.records.all(), 21, "agents are never folded")
	require.NoError(t, conn.Close())
	w.stop()
	all := w.records.all()
	require.Len(t, all, 22)
	require.Equal(t, decision.Record{
		DecisionID: all[21].DecisionID, Time: all[21].Time, RouteID: "/notes", Capability: "notes:read", Peer: "127.0.0.1/32",
		Outcome: decision.Denied, Reason: "token_missing", Status: 401, Count: 80,
	}, all[21])
}

func TestPolicyAnswers(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Unavailable(policy.ReasonTimeout, errors.New("slow"))
	})
	r := w.get("/notes", good)
	w.refuses(r, 503, "policy_timeout")
	require.NotContains(t, r.body, "slow")
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Unavailable(policy.ReasonError, errors.New("inner"))
	})
	w.refuses(w.get("/notes", good), 503, "policy_error")
	w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{}, errors.New("inner") })
	w.refuses(w.get("/notes", good), 503, "unavailable")
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Decision{Allow: true, Reason: "self", Obligations: map[string]any{"fields": []string{"x"}}}, nil
	})
	w.refuses(w.get("/notes", good), 403, "obligation_unknown")
	w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{Reason: "night"}, nil })
	w.refuses(w.get("/open", ""), 403, "night")
	require.Empty(t, up.all())
}

// What the policy would refuse passes and is written down; who asks is proved all the same.
func TestShadowMode(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	recorded := func(reason string) {
		t.Helper()
		r := w.get("/shadow", good)
		require.Equal(t, 200, r.StatusCode)
		require.Empty(t, r.reason())
		last := w.records.all()[len(w.records.all())-1]
		require.Equal(t, decision.Allowed, last.Outcome)
		require.Equal(t, reason, last.Reason)
		require.Equal(t, agentID, last.AgentID)
		require.Equal(t, agentID, up.all()[len(up.all())-1].Header.Get("X-Agent-Id"))
	}
	recorded("shadow_capability_missing")
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Unavailable(policy.ReasonTimeout, errors.New("slow"))
	})
	recorded("shadow_policy_timeout")
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Decision{Allow: true, Reason: "capability"}, nil
	})
	recorded("capability")
	w.refuses(w.get("/shadow", ""), 401, "token_missing")
	w.revoked.set(func(r *revocations) { r.stale = true })
	w.refuses(w.get("/shadow", good), 503, "revocations_stale")
	require.Len(t, up.all(), 3)
}

func TestPanicsAreAnswers(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	w.decider.set(func(policy.Input) (policy.Decision, error) { panic("boom") })
	w.refuses(w.get("/notes", good), 500, "internal")
	w.refuses(w.raw(request("POST", "/notes", good, "Content-Length: 1", "Expect: 100-continue")), 500, "internal")
	w.decider.set(nil)
	require.Equal(t, 200, w.get("/notes", good).StatusCode)
	require.Len(t, w.records.all(), 3)
	require.Contains(t, w.logs.String(), "boom")
	w.stop()
	w.keepsSecret(t, good)
}

func TestUpstreamConnectionsAreReused(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) { o.Upstream.KeepAlive = time.Minute })
	good := tokens(t).good(t)
	for range 10 {
		require.Equal(t, 200, w.get("/notes", good).StatusCode)
		require.Equal(t, "abc", w.raw(request("POST", "/notes", good, "Content-Length: 3")+"abc").body)
	}
	require.Equal(t, int64(1), opened.Load())

	// The upstream ends an idle connection: the next request does not meet it.
	server.CloseClientConnections()
	time.Sleep(50 * time.Millisecond)
	require.Equal(t, 200, w.get("/notes", good).StatusCode)
	require.Equal(t, int64(2), opened.Load())
}

// A request of which a byte went out is never sent again.
func TestNoRequestIsSentTwice(t *testing.T) {
	var requests atomic.Int64
	w := newWorld(t, scripted(t, func(_ *http.Request, conn net.Conn) {
		requests.Add(1)
		_ = conn.Close()
	}))
	good := tokens(t).good(t)
	w.refuses(w.get("/notes", good), 502, "upstream_closed")
	w.refuses(w.raw(request("POST", "/notes", good, "Content-Length: 3")+"abc"), 502, "upstream_closed")
	require.Equal(t, int64(2), requests.Load())
}

func TestUpstreamConnectionsAreBounded(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release }))
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) { o.Upstream.MaxConns, o.Upstream.Wait = 1, 50*time.Millisecond })
	first := make(chan reply, 1)
	go func() { first <- w.get("/notes", tokens(t).good(t)) }()
	<-entered
	w.refuses(w.get("/notes", tokens(t).good(t)), 503, "upstream_busy")
	close(release)
	require.Equal(t, 200, (<-first).StatusCode)
}

func TestTLSUpstream(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	defer server.Close()
	w := newWorld(t, server.URL, func(o *proxy.Options) { o.Upstream.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig })
	require.Equal(t, "HTTP/1.1", w.get("/notes", tokens(t).good(t)).body)
	untrusting := newWorld(t, server.URL)
	untrusting.refuses(untrusting.get("/notes", tokens(t).good(t)), 502, "upstream_unreachable")
}

func TestConnectionsPerAddressAreBounded(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL, func(o *proxy.Options) { o.MaxPerAddress = 2 })
	a, b := w.dial(), w.dial()
	for _, conn := range []net.Conn{a, b} {
		_, err := io.WriteString(conn, request("GET", "/open", ""))
		require.NoError(t, err)
		require.Equal(t, 200, read(t, bufio.NewReader(conn), "GET").StatusCode)
	}
	require.Equal(t, 429, w.raw("").StatusCode)
	require.NoError(t, a.Close())
	waitFor(t, "a place", func() bool {
		conn := w.dial()
		defer conn.Close()
		_, err := io.WriteString(conn, request("GET", "/open", ""))
		if err != nil {
			return false
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err == nil && response.StatusCode == http.StatusOK
	})
}

// A stop lets what is under way finish, and leaves a record of everything.
func TestStopDrains(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "late")
	}))
	defer server.Close()
	w := newWorld(t, server.URL)
	first := make(chan reply, 1)
	go func() { first <- w.get("/notes", tokens(t).good(t)) }()
	<-entered
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	waitFor(t, "the listener's end", func() bool {
		conn, err := net.Dial("tcp", w.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(release)
	r := <-first
	require.Equal(t, "late", r.body)
	require.True(t, r.Close)
	<-stopped
	require.Len(t, w.records.all(), 1)
}

func TestMetrics(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	w.get("/notes", good)
	w.get("/secret", good)
	w.get("/notes", "")
	for i := range 160 {
		w.get(fmt.Sprintf("/%d/../x", i), "")
	}
	var exposed bytes.Buffer
	w.metrics.WritePrometheus(&exposed)
	for _, line := range []string{
		`sidecar_requests_total{route="/notes",decision="allowed",reason="capability"} 1`,
		`sidecar_requests_total{route="/secret",decision="denied",reason="capability_missing"} 1`,
		`sidecar_requests_total{route="/notes",decision="denied",reason="token_missing"} 1`,
		`sidecar_requests_total{route="",decision="denied",reason="path_dot_segment"} 160`,
		`sidecar_rejected_total{check="guard"} 160`, `sidecar_rejected_total{check="policy"} 1`, `sidecar_rejected_total{check="credential"} 1`,
		`sidecar_decision_seconds_count 3`, `sidecar_decision_seconds_bucket{le="0.001"}`, `sidecar_anonymous_folded_total 140`, `sidecar_judging 0`,
	} {
		require.Contains(t, exposed.String(), line)
	}
	require.Less(t, strings.Count(exposed.String(), "\n"), 45)
}
