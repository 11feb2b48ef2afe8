package proxy_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func TestExpectation(t *testing.T) {
	t.Parallel()
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	asks := func(w *world, expectation string) (net.Conn, *bufio.Reader) {
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
		conn, reader := asks(w, expectation)
		_, err := io.WriteString(conn, "hello")
		require.NoError(t, err)
		require.Equal(t, 200, read(t, reader, "POST").StatusCode)
	}
	require.Len(t, up.all(), 2)
	require.Len(t, w.records.all(), 2, "judged once")
	require.NotContains(t, up.all()[0].Header, "Expect")

	// The body that was asked for never comes: one record, in the agent's name.
	hasty := newWorld(t, up.URL, func(o *proxy.Options) { o.HeadTimeout = 3 * time.Second }) // in which the head must come
	_, reader := asks(hasty, "100-continue")
	r := read(t, reader, "POST")
	require.Equal(t, 408, r.StatusCode)
	closed(t, reader)
	conn, _ := asks(hasty, "100-continue")
	require.NoError(t, conn.Close())
	waitFor(t, "records", func() bool { return len(hasty.records.all()) == 2 })
	for _, record := range hasty.records.all() {
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
