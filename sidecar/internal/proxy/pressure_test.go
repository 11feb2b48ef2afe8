package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

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
	sip := func(conn net.Conn) {
		for {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	// A machine that stalls may make anybody slow, for once.
	unaffected := func() {
		persist(t, "others are served", func() bool {
			conn := w.dial()
			defer conn.Close()
			_, err := io.WriteString(conn, request("GET", "/notes", good))
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			return err == nil && answer.StatusCode == http.StatusOK
		})
	}
	// refused has each slow one cut off where it is slow. One that was cut off
	// earlier begins again.
	refused := func(reason, quick, slow string) {
		persist(t, reason, func() bool {
			conn := w.dial()
			defer conn.Close()
			_, err := io.WriteString(conn, quick)
			require.NoError(t, err)
			go drip(conn, slow)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			return err == nil && answer.StatusCode == http.StatusRequestTimeout && answer.Header.Get("X-AgentIdP-Error") == reason
		})
		unaffected()
	}
	idle := w.dial()
	count := func(which func(decision.Record) bool) (n int) {
		for _, r := range w.records.all() {
			if which(r) {
				n++
			}
		}
		return n
	}
	ended := func() int { return count(func(r decision.Record) bool { return r.Path == "/notes/big" }) }
	late := func() int { return count(func(r decision.Record) bool { return r.Reason == "request_timeout" }) }
	unaffected()
	refused("request_timeout", "G", request("GET", "/notes", good)[1:])
	refused("body_timeout", request("POST", "/notes", good, "Content-Length: 1000"), strings.Repeat("x", 1000))
	closed(t, bufio.NewReader(idle)) // a connection that says nothing gets no answer
	persist(t, "both slow readers are let go", func() bool {
		ends, lates, deaf, reader := ended(), late(), w.dial(), w.dial()
		for _, conn := range []net.Conn{deaf, reader} {
			_, err := io.WriteString(conn, request("GET", "/notes/big", good))
			require.NoError(t, err)
		}
		go sip(reader)
		unaffected()
		waitFor(t, "the end of both", func() bool { return ended()-ends+late()-lates >= 2 })
		if ended()-ends < 2 {
			return false // their heads came late
		}
		n, err := io.Copy(io.Discard, deaf)
		require.Less(t, n, int64(len(big)), err)
		return true
	})
	unaffected()
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

// crowded remembers one token; the others wait.
type crowded struct {
	verifier
	remembered       string
	entered, release chan struct{}
}

func (c *crowded) Recall(raw string) (proxy.Identity, bool) {
	if raw != c.remembered {
		return proxy.Identity{}, false
	}
	identity, err := c.verifier.Verify(context.Background(), raw)
	return identity, err == nil
}

func (c *crowded) Verify(ctx context.Context, raw string) (proxy.Identity, error) {
	c.entered <- struct{}{}
	<-c.release
	return c.verifier.Verify(ctx, raw)
}

// However many tokens wait to be verified, those that are remembered pass.
func TestWhoIsToBeVerifiedWaitsOutsideOfTheGate(t *testing.T) {
	up := stdUpstream(t)
	c := &crowded{verifier: verifier{tokens(t).verifier}, remembered: tokens(t).good(t), entered: make(chan struct{}), release: make(chan struct{})}
	w := newWorld(t, up.URL, func(o *proxy.Options) { o.Judging, o.JudgingWait, o.Verifier = 1, 50*time.Millisecond, c })
	waiting := make(chan reply, 2)
	for range 2 {
		go func() { waiting <- w.get("/notes", tokens(t).good(t)) }()
		<-c.entered
	}
	require.Equal(t, 200, w.get("/notes", c.remembered).StatusCode)
	c.release <- struct{}{}
	require.Equal(t, 200, (<-waiting).StatusCode)

	judging, judged := make(chan struct{}), make(chan struct{})
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		judging <- struct{}{}
		<-judged
		return policy.Decision{Allow: true, Reason: policy.ReasonCapability}, nil
	})
	first := make(chan reply, 1)
	go func() { first <- w.get("/notes", c.remembered) }()
	<-judging
	c.release <- struct{}{}
	w.refuses(<-waiting, 503, "overloaded") // verified, but its place is taken
	w.decider.set(nil)
	close(judged)
	require.Equal(t, 200, (<-first).StatusCode)
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
