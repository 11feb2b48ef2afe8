package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

func TestDisguised(t *testing.T) {
	for _, name := range []string{
		"X_Agent_Id", "x-agent_id", "X.Agent.Id", "x~agent!id", "X_AgentIdP_Error", "X_Forwarded_For", "X_Original_URL", "X_Real_IP", "Remote_User",
		"X_HTTP_Method_Override", "Content_Length", "Transfer_Encoding", "X_Request_Id", "http2_settings", "Proxy.Connection",
	} {
		require.True(t, guard.Disguised([]byte(name)), name)
	}
	for _, name := range []string{"X-Agent-Id", "x-agent-id", "X-Forwarded-For", "Content-Length", "Authorization", "Accept", "X_Role", "grpc.status", "X-Agents_Id"} {
		require.False(t, guard.Disguised([]byte(name)), name)
	}
}
