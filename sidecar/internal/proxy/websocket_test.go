package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func TestWebSocket(t *testing.T) {
	bothWays(t, func(t *testing.T, secure bool) {
		w, api := newSocketWorld(t, secure, echo)
		token := tokens(t).good(t)
		ctx, c, response := w.socket("/ws?room=1", token, &websocket.DialOptions{Subprotocols: []string{"none", "a2a"}})
		require.Equal(t, "a2a", c.Subprotocol())
		require.NotEmpty(t, response.Header.Get("X-Request-Id"))
		require.Empty(t, response.Header.Get("Sec-WebSocket-Extensions"))
		says(t, ctx, c, websocket.MessageText, "hello")
		says(t, ctx, c, websocket.MessageBinary, strings.Repeat("\x00\xff", 40_000))
		says(t, ctx, c, websocket.MessageText, "")

		reading := c.CloseRead(ctx)
		require.NoError(t, c.Ping(ctx), "a pong comes back")
		require.NoError(t, c.Close(4001, "enough"))
		<-reading.Done()
		waitFor(t, "the API knows", func() bool { return len(api.ended()) == 1 })
		require.Equal(t, websocket.StatusCode(4001), api.ended()[0])

		r := w.ended()
		require.Equal(t, decision.Allowed, r.Outcome)
		require.Equal(t, "capability", r.Reason)
		require.Equal(t, 101, r.Status)
		require.Equal(t, "/ws", r.Path)
		require.Equal(t, agentID, r.AgentID)
		require.Greater(t, r.BytesIn, int64(80_000))
		require.Greater(t, r.BytesOut, int64(80_000))
		head := api.heads[0]
		require.Equal(t, agentID, head.Get("X-Agent-Id"))
		require.Empty(t, head.Get("Authorization"))
		require.Equal(t, []string{"Upgrade"}, head.Values("Connection"))
		require.Equal(t, []string{"none, a2a"}, head.Values("Sec-WebSocket-Protocol"))
		require.Equal(t, r.RequestID, response.Header.Get("X-Request-Id"))
		w.metric("sidecar_websockets_total 1\n")
		w.metric("sidecar_websockets_open 0\n")
		w.metric("sidecar_streams_open 0\n")
		w.metric("sidecar_connections 0\n")
	})
}

func TestWebSocketClosedByTheAPI(t *testing.T) {
	w, _ := newSocketWorld(t, false, func(ctx context.Context, c *websocket.Conn) error {
		if err := echo(ctx, c); err != nil {
			return err
		}
		return c.Close(4002, "go away")
	})
	ctx, c, _ := w.socket("/ws", tokens(t).good(t), nil)
	says(t, ctx, c, websocket.MessageText, "hello")
	_, _, err := c.Read(ctx)
	require.Equal(t, websocket.CloseError{Code: 4002, Reason: "go away"}, asClose(t, err))
	r := w.ended()
	require.Equal(t, decision.Allowed, r.Outcome)
	require.Equal(t, "capability", r.Reason)
}

func TestWebSocketCompression(t *testing.T) {
	w, _ := newSocketWorld(t, false, echo)
	ctx, c, response := w.socket("/ws", tokens(t).good(t), &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
	require.Contains(t, response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	message := strings.Repeat("the same again ", 10_000)
	says(t, ctx, c, websocket.MessageText, message)
	says(t, ctx, c, websocket.MessageText, message)
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
	r := w.ended()
	require.Equal(t, "capability", r.Reason)
	require.Less(t, r.BytesIn, int64(10_000), "it is passed on as it comes")
}

// A WebSocket ends when a new handshake with its token would be refused.
func TestWebSocketsEndWithTheirPermission(t *testing.T) {
	t.Parallel()
	without := func(route string) string {
		return strings.ReplaceAll(socketRoutes, route+", capability: notes:read, websocket: true", route+", capability: notes:read")
	}
	for _, c := range []struct {
		reason   string
		secure   bool
		withdraw func(*world)
	}{
		{"token_revoked", false, func(w *world) { w.revoked.set(func(r *revocations) { r.jti["live"] = true }) }},
		{"token_revoked", true, func(w *world) { w.revoked.set(func(r *revocations) { r.jti["live"] = true }) }},
		{"revocations_stale", false, func(w *world) { w.revoked.set(func(r *revocations) { r.stale = true }) }},
		{"capability_missing", true, func(w *world) { w.decider.set(denying) }},
		{"upgrade_refused", false, func(w *world) { w.replace(without("/ws")) }},
		{"expired", false, nil}, // by a clock of its own
	} {
		t.Run(fmt.Sprint(c.reason, " ", c.secure), func(t *testing.T) {
			t.Parallel()
			clock := &moment{}
			clock.Store(time.Now().UnixNano())
			w, api := newSocketWorld(t, c.secure, echo, func(o *proxy.Options) { o.Now = clock.now })
			if c.reason == "expired" {
				c.withdraw = func(*world) { clock.pass(20 * time.Minute) }
			}
			ctx, other, _ := w.socket("/lasting", tokens(t).good(t, map[string]any{"exp": time.Now().Unix() + 3000}), nil)
			_, conn, _ := w.socket("/ws", tokens(t).good(t, map[string]any{"jti": "live"}), nil)
			says(t, ctx, conn, websocket.MessageText, "hello")
			w.metric("sidecar_streams_open 2\n")
			w.metric("sidecar_websockets_open 2\n")
			waitFor(t, "the starts are recorded", func() bool { return len(w.records.started()) == 2 })
			c.withdraw(w)
			began := time.Now()
			_, _, err := conn.Read(ctx)
			require.Equal(t, websocket.CloseError{Code: websocket.StatusPolicyViolation, Reason: c.reason}, asClose(t, err))
			t.Logf("ended after %s", time.Since(began))
			waitFor(t, "the API knows", func() bool { return len(api.ended()) > 0 })
			require.Equal(t, websocket.StatusGoingAway, api.ended()[0])
			waitFor(t, "the end is recorded", func() bool {
				return slices.ContainsFunc(w.records.all(), func(r decision.Record) bool { return r.Path == "/ws" })
			})
			start, end := w.records.started(), w.records.all()
			for _, records := range []*[]decision.Record{&start, &end} {
				*records = slices.DeleteFunc(*records, func(r decision.Record) bool { return r.Path != "/ws" })
				require.Len(t, *records, 1)
			}
			require.Equal(t, start[0].DecisionID, end[0].DecisionID)
			require.Equal(t, decision.Allowed, start[0].Outcome)
			require.Equal(t, "stream_started", start[0].Reason)
			require.Equal(t, 101, start[0].Status)
			require.Equal(t, c.reason, end[0].Reason)
			require.Equal(t, 101, end[0].Status)
			require.NotEqual(t, decision.Allowed, end[0].Outcome)
			require.Positive(t, end[0].BytesOut)
			w.metric(fmt.Sprintf("sidecar_streams_terminated_total{reason=%q} ", c.reason))
			if c.reason != "capability_missing" {
				says(t, ctx, other, websocket.MessageText, "others go on")
			}
		})
	}
}

// A handshake is judged like any request, and besides by its origin.
func TestHandshakesAreJudged(t *testing.T) {
	w, api := newSocketWorld(t, false, echo)
	token := tokens(t).good(t)
	opens := func(path, token string, header ...string) {
		t.Helper()
		ctx, c, _ := w.socket(path, token, &websocket.DialOptions{HTTPHeader: fields(header)})
		says(t, ctx, c, websocket.MessageText, "hello")
		require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
	}
	refused := func(status int, reason, path, token string, header ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, response, err := w.dialSocket(ctx, path, token, &websocket.DialOptions{HTTPHeader: fields(header)})
		require.Error(t, err)
		require.Equal(t, status, response.StatusCode)
		require.Equal(t, reason, response.Header.Get("X-AgentIdP-Error"))
		require.True(t, response.Close, "nothing behind a handshake is read")
	}
	opens("/ws", token)
	opens("/ws", token, "Origin", "https://"+w.addr)
	opens("/browser", token)
	opens("/browser", token, "Origin", "https://app.example")
	opens("/open", "")
	handshakes := len(api.heads)

	refused(401, "token_missing", "/ws", "")
	refused(401, "token_missing", "/nowhere", "")
	refused(403, "capability_missing", "/secret", token)
	refused(403, "no_route", "/nowhere", token)
	refused(400, "upgrade_refused", "/plain", token)
	refused(401, "token_missing", "/plain", "")
	refused(403, "origin_refused", "/ws", token, "Origin", "https://evil.example")
	refused(403, "origin_refused", "/ws", token, "Origin", "null")
	refused(403, "origin_refused", "/browser", token, "Origin", "https://"+w.addr)
	refused(403, "origin_refused", "/open", "", "Origin", "https://app.example")
	require.Len(t, api.heads, handshakes, "none of it reached the API")
	w.metric(`sidecar_rejected_total{check="route"} 6`)

	require.Equal(t, "plain", w.get("/ws", token).body, "no handshake is served as usual")
	require.Equal(t, "plain", w.get("/browser", token, "Origin: https://evil.example").body)
	require.Equal(t, "plain", w.raw(request("POST", "/ws", token, "Content-Length: 0")).body)
}

func fields(pairs []string) http.Header {
	header := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return header
}

func TestWebSocketsEndWithTheProxy(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, secure bool) {
		w, api := newSocketWorld(t, secure, echo)
		ctx, c, _ := w.socket("/ws", tokens(t).good(t), nil)
		says(t, ctx, c, websocket.MessageText, "hello")
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.stop() }()
		_, _, err := c.Read(ctx)
		require.Equal(t, websocket.CloseError{Code: websocket.StatusGoingAway, Reason: "shutdown"}, asClose(t, err))
		<-stopped
		r := w.ended()
		require.Equal(t, decision.Allowed, r.Outcome)
		require.Equal(t, "shutdown", r.Reason)
		waitFor(t, "the API knows", func() bool { return len(api.ended()) == 1 })
		require.Equal(t, websocket.StatusGoingAway, api.ended()[0])
		w.metric("sidecar_connections 0\n")
	})
}

func TestSilentWebSocketsEnd(t *testing.T) {
	t.Parallel()
	persist(t, "one that is not silent goes on", func() bool { // unless the machine silences it
		w, api := newSocketWorld(t, false, echo, func(o *proxy.Options) { o.Upstream.IdleTimeout = time.Second })
		ctx, busy, _ := w.socket("/lasting", tokens(t).good(t), nil)
		_, silent, _ := w.socket("/ws", tokens(t).good(t), nil)
		over := make(chan error, 1)
		go func() {
			_, _, err := silent.Read(ctx)
			over <- err
		}()
		goesOn := func() bool {
			if busy.Write(ctx, websocket.MessageText, []byte("still here")) != nil {
				return false
			}
			_, _, err := busy.Read(ctx)
			return err == nil
		}
		var err error
		for err == nil {
			alive := goesOn()
			select {
			case err = <-over:
			case <-time.After(20 * time.Millisecond):
			}
			if !alive {
				return false
			}
		}
		require.Equal(t, websocket.CloseError{Code: websocket.StatusGoingAway, Reason: "idle_timeout"}, asClose(t, err))
		if !goesOn() {
			return false
		}
		waitFor(t, "the end is recorded", func() bool { return len(w.records.all()) > 0 })
		r := w.records.all()[0]
		require.Equal(t, decision.Allowed, r.Outcome)
		require.Equal(t, "idle_timeout", r.Reason)
		waitFor(t, "the API knows", func() bool { return len(api.ended()) > 0 })
		require.Equal(t, websocket.StatusGoingAway, api.ended()[0])
		w.metric(`sidecar_streams_terminated_total{reason="idle_timeout"} `)
		return len(w.records.all()) == 1 && r.Path == "/ws"
	})
}

// Open ones count as connections, which fasthttp forgets them to be.
func TestWebSocketsAreBounded(t *testing.T) {
	w, _ := newSocketWorld(t, false, echo, func(o *proxy.Options) { o.Connections, o.MaxPerAddress = 2, 100 })
	for range 2 {
		ctx, c, _ := w.socket("/ws", tokens(t).good(t), nil)
		says(t, ctx, c, websocket.MessageText, "hello")
	}
	w.metric("sidecar_connections 2\n")
	r := w.raw(request("GET", "/ws", tokens(t).good(t), handshake...))
	w.refuses(r, 503, "overloaded")
	require.Equal(t, "plain", w.get("/ws", tokens(t).good(t)).body)
}
