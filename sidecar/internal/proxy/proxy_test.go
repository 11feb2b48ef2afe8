package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
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
	for i := range 40 { // in one window of the count
		w.get(fmt.Sprintf("/%d/../x", i), "")
	}
	var exposed bytes.Buffer
	w.metrics.WritePrometheus(&exposed)
	for _, line := range []string{
		`sidecar_requests_total{route="/notes",decision="allowed",reason="capability"} 1`,
		`sidecar_requests_total{route="/secret",decision="denied",reason="capability_missing"} 1`,
		`sidecar_requests_total{route="/notes",decision="denied",reason="token_missing"} 1`,
		`sidecar_requests_total{route="",decision="denied",reason="path_dot_segment"} 40`,
		`sidecar_rejected_total{check="guard"} 40`, `sidecar_rejected_total{check="policy"} 1`, `sidecar_rejected_total{check="credential"} 1`,
		`sidecar_decision_seconds_count 3`, `sidecar_decision_seconds_bucket{le="0.001"}`, `sidecar_anonymous_folded_total 20`, `sidecar_judging 0`,
	} {
		require.Contains(t, exposed.String(), line)
	}
	require.Less(t, strings.Count(exposed.String(), "\n"), 45)
}
