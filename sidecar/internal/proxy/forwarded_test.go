package proxy_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const grantedScope = "notes:read notes:write" // of every good token here

// agrees asserts that what the application got is what the record says was
// decided on: method, path and host, one identity, and it is the one we proved.
func agrees(t testing.TB, table *route.Table, record decision.Record, got seen) {
	t.Helper()
	require.Equal(t, decision.Allowed, record.Outcome)
	require.Equal(t, record.Method, got.Method)
	path, _, _ := strings.Cut(got.Target, "?")
	require.Equal(t, record.Path, path[:min(len(path), decision.MaxPathBytes)], "the path, byte for byte")
	decoded, err := url.PathUnescape(path)
	require.NoError(t, err)
	require.Equal(t, decoded, got.Path, "the path that the application routes by is the same, only decoded")
	match := table.Match([]byte(got.Method), []byte(record.Host), []byte(got.Path))
	require.Equal(t, record.RouteID, match.ID, "and would be decided on alike")
	require.Equal(t, record.Capability, match.Route.Capability)

	ours := map[string]string{
		"x-forwarded-for": record.Peer, "x-forwarded-host": record.Host, "x-forwarded-proto": "http", "x-request-id": record.RequestID,
	}
	if record.AgentID != "" {
		ours["x-agent-id"], ours["x-agent-organization"], ours["x-agent-client-id"] = record.AgentID, record.OrganizationID, record.ClientID
		ours["x-agent-scope"] = grantedScope
	}
	names := plainNames(got.Header)
	for name, want := range ours {
		require.Equal(t, []string{want}, names[name], name)
	}
	for name, values := range names {
		switch {
		case slices.ContainsFunc(onlyOurs, func(family string) bool { return name == family || strings.HasPrefix(name, family+"-") }):
			require.Contains(t, ours, name)
		case name == "content-length", name == "transfer-encoding", name == "host", name == "traceparent":
			require.Len(t, values, 1, name)
		case name == "authorization":
			require.True(t, match.Route.ForwardToken)
		}
		require.NotContains(t, perHop, name)
	}
	require.Contains(t, names, "traceparent")
}

// onlyOurs are names, and beginnings of names, that nobody but the sidecar may say.
var onlyOurs = []string{"x-agent", "x-agentidp", "x-forwarded", "x-request-id"}

// perHop never cross a proxy.
var perHop = []string{
	"connection", "keep-alive", "te", "trailer", "upgrade", "expect", "http2-settings", "forwarded", "proxy", "proxy-connection", "proxy-authorization",
}

// plainNames are the fields under the plainest form that gateways give to their names.
func plainNames(header http.Header) map[string][]string {
	plain := map[string][]string{}
	for name, values := range header {
		name = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, strings.ToLower(name))
		plain[name] = append(plain[name], values...)
	}
	return plain
}
