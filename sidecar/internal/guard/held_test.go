package guard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

func TestAFieldIsOneLineOrNone(t *testing.T) {
	for _, fact := range []struct{ name, value, reason string }{
		{"X-Plain", "1", ""},
		{"x-empty", "", ""},
		{"x-tab", "a\tb", ""},
		{"", "1", "header_name"},
		{"X A", "1", "header_name"},
		{"X-A:B", "1", "header_name"},
		{" X-A", "1", "header_name"},
		{"X-A\r\nX-B", "1", "header_name"},
		{"X-\xc3\xa4", "1", "header_name"},
		{"X-A", "1\r\nX-B: 2", "header_value"},
		{"X-A", "1\nX-B: 2", "header_value"},
		{"X-A", "1\r", "header_value"},
		{"X-A", "\x00", "header_value"},
		{"X-A", "\x7f", "header_value"},
	} {
		block := guard.AppendField([]byte("Host: a\r\n"), fact.name, fact.value)
		require.Equal(t, 2, strings.Count(string(block), "\n"), "%q", fact)
		why := guard.DefaultLimits.Check(guard.Request{
			Method: []byte("GET"), Target: []byte("/"), Protocol: []byte("HTTP/1.1"), Fields: append(block, "\r\n"...),
		}, &guard.Head{})
		if fact.reason == "" {
			require.Nil(t, why, "%q", fact)
			require.Equal(t, "Host: a\r\n"+fact.name+": "+fact.value+"\r\n", string(block))
		} else {
			require.NotNil(t, why, "%q", fact)
			require.Equal(t, fact.reason, why.Reason, "%q", fact)
		}
	}
}

func TestStrips(t *testing.T) {
	for _, name := range strings.Fields(`X-Agent-Id x_agent_id X.Agent.Id x-agent x-agent-anything X-AgentIdP-Error X-Forwarded-For x-forwarded-anything
		Forwarded X-Original-URL X-Rewrite-Url X-Real-Ip X-HTTP-Method-Override x_http_method_override
		X_Request_Id Content_Length Transfer_Encoding Proxy Proxy-Authorization proxy_authorization HTTP2-Settings`) {
		require.True(t, guard.Strips(name), name)
	}
	for _, name := range strings.Fields("Host Authorization Content-Length Transfer-Encoding Connection Upgrade TE Trailer Expect X-Request-Id Traceparent Cookie Accept X-Agency X_Custom") {
		require.False(t, guard.Strips(name), name)
	}
}
