package proxy_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// An agent that begins many large messages is refused more of them; others are not.
func TestAgentsShareTheRoomForMessages(t *testing.T) {
	const whole, share = 1 << 20, 32 << 20
	up := stdUpstream(t)
	w := rpcWorld(t, up.URL)
	greedy := tokens(t).scoped(t, "mcp:*")
	for range share/whole + 1 {
		conn := w.dial()
		_, err := io.WriteString(conn, request("POST", "/mcp", greedy, fmt.Sprintf("Content-Length: %d", whole), "Content-Type: application/json"))
		require.NoError(t, err)
		_, err = io.CopyN(conn, endlessBytes{}, whole-1)
		require.NoError(t, err)
	}
	waitFor(t, "one is too many", func() bool { return len(w.records.all()) > 0 })
	for _, refused := range w.records.all() { // whoever was read when the room was full: perhaps several at once
		require.Equal(t, decision.Denied, refused.Outcome)
		require.Equal(t, []string{"messages_held", agentID}, []string{refused.Reason, refused.AgentID})
		require.Equal(t, 429, refused.Status)
	}
	w.metric(`sidecar_rejected_total{check="rpc"} `)
	other := tokens(t).good(t, map[string]any{"scope": "mcp:*", "sub": "agent-2"})
	require.Equal(t, 200, w.post("/mcp", other, call("search")).StatusCode)
}
