package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

const limitedRoutes = `
routes:
  - {path: /notes, methods: [GET], capability: notes:read, rateLimit: {requests: 3, per: 1h}}
  - {path: /notes, methods: [POST], capability: notes:write, rateLimit: {requests: 2, per: 1h}}
  - {path: /secret, capability: secret:read, rateLimit: {requests: 1, per: 1h}}
  - {path: /shadow, capability: secret:read, mode: shadow, rateLimit: {requests: 1, per: 1h}}
  - {path: /open, capability: public, rateLimit: {requests: 2, per: 1h}}
  - {path: /free, capability: notes:read}
`

func TestRateLimits(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL, func(o *proxy.Options) { o.Metrics = nil })
	w.replace(limitedRoutes)
	good := tokens(t).good(t)
	another := tokens(t).good(t) // of the same agent
	other := tokens(t).good(t, map[string]any{"client_id": "other-client"})
	for range 3 {
		r := w.get("/notes", good)
		require.Equal(t, 200, r.StatusCode)
		require.Empty(t, r.Header.Get("RateLimit"), "what the API answers is left as it is")
	}
	r := w.get("/notes", another)
	w.refuses(r, 429, "rate_limited")
	require.Contains(t, r.body, `"code":"RATE_LIMITED"`)
	retry, err := strconv.Atoi(r.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 1200, retry, 60, "less what passed since the first")
	require.Equal(t, `"route";q=3;w=3600`, r.Header.Get("RateLimit-Policy"))
	require.Regexp(t, `^"route";r=0;t=3(600|5[4-9]\d)$`, r.Header.Get("RateLimit"))
	records := w.records.all()
	require.Equal(t, decision.Denied, records[3].Outcome)
	require.Equal(t, agentID, records[3].AgentID)
	require.Equal(t, "/notes", records[3].RouteID)

	// Each agent and each route for itself; what is not limited is not counted.
	require.Equal(t, 200, w.get("/notes", other).StatusCode)
	for range 10 {
		require.Equal(t, 200, w.get("/free", good).StatusCode)
	}
	// A bad token uses up nobody's share, and learns nothing.
	for range 10 {
		require.Equal(t, 401, w.get("/secret", good[:len(good)-8]+"AAAAAAAA").StatusCode)
	}
	w.revoked.set(func(r *revocations) { r.jti["gone"] = true })
	w.refuses(w.get("/secret", tokens(t).good(t, map[string]any{"jti": "gone"})), 401, "token_revoked")
	// It is counted before the policy.
	w.refuses(w.get("/secret", good), 403, "capability_missing")
	w.refuses(w.get("/secret", good), 429, "rate_limited")
	require.Equal(t, 200, w.get("/shadow", good).StatusCode)
	w.refuses(w.get("/shadow", good), 429, "rate_limited")
	// The method is of the route.
	w.refuses(w.get("/notes", good), 429, "rate_limited")
	require.Equal(t, 405, w.raw(request("DELETE", "/notes", good)).StatusCode)

	// A reload does not forget.
	w.replace(limitedRoutes)
	w.refuses(w.get("/notes", good), 429, "rate_limited")
	require.Len(t, up.all(), 15)
}

// Strangers count by their address.
func TestRateLimitOfPublicRoutes(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	w.replace(limitedRoutes)
	from := func(peer string) reply {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}).Dial("tcp", w.addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, request("GET", "/open", "", "X-Forwarded-For: 192.0.2."+strconv.Itoa(time.Now().Nanosecond()%250)))
		require.NoError(t, err)
		return read(t, bufio.NewReader(conn), "GET")
	}
	for i, want := range []int{200, 200, 429, 429} {
		require.Equal(t, want, from("127.0.0.9").StatusCode, i)
	}
	require.Equal(t, 200, from("127.0.0.10").StatusCode)
	require.Len(t, up.all(), 3)
}

// A request that is asked for its body is counted once.
func TestRateLimitCountsOnce(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	w.replace(limitedRoutes)
	good := tokens(t).good(t)
	for i, want := range []int{100, 100, 429} {
		conn := w.dial()
		_, err := fmt.Fprintf(conn, "POST /notes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", good)
		require.NoError(t, err)
		r := bufio.NewReader(conn)
		first := read(t, r, "POST")
		require.Equal(t, want, first.StatusCode, i)
		if want == 100 {
			_, err = io.WriteString(conn, "abc")
			require.NoError(t, err)
			require.Equal(t, 200, read(t, r, "POST").StatusCode)
		}
	}
	require.Len(t, up.all(), 2)
}
