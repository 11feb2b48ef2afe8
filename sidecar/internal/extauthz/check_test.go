package extauthz

import (
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// set are the fields that Envoy is told to set, as "name: value".
func set(t *testing.T, options []*core.HeaderValueOption) (lines []string) {
	t.Helper()
	for _, o := range options {
		require.Equal(t, core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, o.AppendAction)
		lines = append(lines, o.Header.Key+": "+o.Header.Value)
	}
	return lines
}

func TestAllowed(t *testing.T) {
	v := proxy.Verdict{
		Allowed: true, Status: 200, DecisionID: "id-1", RouteID: "/notes", Reason: "capability",
		Fields:    [][2]string{{"X-Agent-Id", "agent-1"}, {"X-Agent-Scope", "notes:read"}},
		Forwarded: [][2]string{{"X-Forwarded-For", "192.0.2.1"}, {"X-Forwarded-Host", "api.example"}, {"X-Request-Id", "id-1"}},
	}
	names := []string{
		"authorization", "accept", "x-agent-id", "x_agent_id", "x.agent.id", "X-Agent-Role", "x-agentidp-error", "x-forwarded-for", "x-forwarded-port",
		"x-original-url", "forwarded", "content-length", "content_length", "host", "te", "connection", "x-request-id", "x_request_id", "traceparent", "proxy",
		"proxy-authorization", "x-http-method-override", "cookie",
	}
	out := allowed(v, names)
	require.Equal(t, int32(codes.OK), out.Status.Code)
	require.Equal(t, []string{
		"x-agent-id: agent-1", "x-agent-scope: notes:read",
		"x-forwarded-for: 192.0.2.1", "x-forwarded-host: api.example", "x-request-id: id-1", "x-agentidp-decision-id: id-1",
	}, set(t, out.GetOkResponse().Headers))
	require.Equal(t, strings.Fields(`authorization x_agent_id x.agent.id x-agent-role x-agentidp-error x-forwarded-port
		x-original-url forwarded content_length x_request_id proxy proxy-authorization x-http-method-override`), out.GetOkResponse().HeadersToRemove)
	require.Equal(t, "id-1", out.DynamicMetadata.Fields["decision_id"].GetStringValue())
	require.Equal(t, "/notes", out.DynamicMetadata.Fields["route"].GetStringValue())

	v.ForwardToken = true
	require.NotContains(t, allowed(v, names).GetOkResponse().HeadersToRemove, "authorization")

	// Nobody knows who asks: what the client says of it goes, and nothing comes in its place.
	v.Fields = [][2]string{{"X-Agent-Id", ""}, {"X-Agent-Scope", ""}}
	out = allowed(v, []string{"x-agent-id"})
	require.Equal(t, []string{"x-agent-id"}, out.GetOkResponse().HeadersToRemove)
	require.NotContains(t, strings.Join(set(t, out.GetOkResponse().Headers), "\n"), "x-agent-")
}

func TestDenied(t *testing.T) {
	out := denied(refused())
	require.Equal(t, int32(codes.Unauthenticated), out.Status.Code)
	require.Equal(t, 401, int(out.GetDeniedResponse().Status.Code))
	require.Equal(t, []string{"content-type: application/json", "www-authenticate: Bearer"}, set(t, out.GetDeniedResponse().Headers))
	require.Equal(t, `{"code":"UNAUTHENTICATED"}`, out.GetDeniedResponse().Body)
	require.Equal(t, "token_missing", out.DynamicMetadata.Fields["reason"].GetStringValue())
	for _, other := range []int{400, 403, 429, 500, 503} {
		require.Equal(t, int32(codes.PermissionDenied), denied(proxy.Verdict{Status: other}).Status.Code)
	}
	require.Equal(t, int32(codes.PermissionDenied), denied(proxy.Verdict{}).Status.Code, "never an OK by default")
}
