package route_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

func TestUpstreamsAndLimits(t *testing.T) {
	table := load(t, everything)
	require.Equal(t, []route.Upstream{
		{
			Name: "notes", URLs: []string{"http://10.0.0.7:8090", "https://notes.internal"}, Timeout: 45 * time.Second, MaxConnections: 64,
			Health: route.Health{Path: "/healthz?deep=1", Interval: 10 * time.Second, Timeout: time.Second},
		},
		{Name: "search", URLs: []string{"http://10.0.0.9"}, Health: route.Health{Path: "/", Interval: 5 * time.Second, Timeout: 2 * time.Second}},
	}, table.Upstreams())
	require.True(t, table.NeedsDefault())
	require.Equal(t, "notes", table.Routes()[0].Upstream)
	require.Equal(t, 90*time.Second, table.Routes()[0].Timeout)
	require.Equal(t, route.Rate{Requests: 100, Per: time.Minute}, table.Routes()[2].Rate)
	require.Empty(t, table.Routes()[1].Upstream)

	require.False(t, load(t, "upstreams: {a: {urls: [http://a]}}\nroutes: [{path: /a, capability: a:b, upstream: a}]").NeedsDefault())
}

func TestUpstreamsSpeak(t *testing.T) {
	table := load(t, "upstreams: {a: {urls: [http://a], protocol: h2}, b: {urls: [http://a], protocol: h1}, c: {urls: [http://a]}}\nroutes: [{path: /a, capability: a:b, upstream: a}]")
	for i, http2 := range []bool{true, false, false} {
		require.Equal(t, http2, table.Upstreams()[i].HTTP2)
	}
}

func TestEveryProblemOfUpstreamsHostsAndLimits(t *testing.T) {
	_, err := route.Load([]byte(`
upstreams:
  default: {urls: [http://a]}
  Notes: {urls: [http://a]}
  twice: {urls: [http://a]}
  twice: {urls: [http://a]}
  empty: {}
  none: {urls: []}
  text: text
  bad:
    urls: [ftp://a, http://u:p@a, http://a/path, 1, http://b, "http://b/"]
    health: {path: healthz, interval: 100ms, timeout: 10s, typo: 1}
    timeout: 5
    maxConnections: 0
    typo: 1
  late: {urls: [http://a], health: {path: /h, interval: 1s, timeout: 2s}, protocol: h3}
routes:
  - {path: /a, capability: a:b, upstream: nowhere, timeout: 1ms, rateLimit: {requests: 0, per: 1ms}}
  - {path: /b, capability: a:b, host: API.example.com, rateLimit: {}}
  - {path: /c, capability: a:b, host: "api.example.com:0", rateLimit: 5}
  - {path: /d, capability: a:b, host: "api.example.com.", rateLimit: {requests: 1.5, per: "1", burst: 1}}
  - {path: /e, capability: a:b, host: "a:99999"}
  - {path: /f, capability: a:b, host: "a/b"}
  - {path: /g, capability: a:b, host: ""}
  - {path: /h, capability: a:b, host: "[::zz]"}
  - {path: /i, capability: a:b, host: "*.example.com"}
  - {path: /j, capability: a:b, host: [a]}
  - {path: /k, capability: a:b, host: a, methods: [GET]}
  - {path: /k, capability: a:c, host: a}
  - {path: /k, capability: a:c, host: b}
  - {path: "/l/{x}", capability: a:c, host: b}
  - {path: "/l/{y}", capability: a:c, host: b, methods: [PURGE]}
  - {path: "/l/{z}", capability: a:c}
`))
	var problems route.Problems
	require.ErrorAs(t, err, &problems)
	const host = ".host: must be a host in lower case"
	for _, want := range []string{
		"upstreams.default: is the name of the one that the settings define", "upstreams.Notes: must be named by", "upstreams.twice: stands twice",
		"upstreams.empty.urls: must be a list of 1 to 16", "upstreams.none.urls: must be a list", "upstreams.text: must be a mapping",
		"upstreams.bad.urls[0]: upstream must be http://", "upstreams.bad.urls[1]: upstream must be", "upstreams.bad.urls[2]: upstream must be",
		"upstreams.bad.urls[3]: must be a string", "upstreams.bad.urls[5]: http://b stands twice",
		"upstreams.bad.health.typo: unknown key", "upstreams.bad.health.path: must be a path", "upstreams.bad.health.interval: must be a duration from 1s to 1h0m0s",
		"upstreams.bad.health.timeout: must not be longer", "upstreams.bad.timeout: must be a duration from 100ms", "upstreams.bad.maxConnections: must be a number from 1 to 65535",
		"upstreams.bad.typo: unknown key", "upstreams.late.health.timeout: must not be longer than interval",
		"upstreams.late.protocol: must be h1 or h2",
		"routes[0].upstream: must be a name under upstreams", "routes[0].timeout: must be a duration", "routes[0].rateLimit.requests: must be a number from 1",
		"routes[0].rateLimit.per: must be a duration from 1s", "routes[1]" + host, "routes[1].rateLimit.requests: is missing", "routes[1].rateLimit.per: is missing",
		"routes[2]" + host, "routes[2].rateLimit: must be a mapping", "routes[3]" + host, "routes[3].rateLimit.requests: must be a number",
		"routes[3].rateLimit.per: must be a duration", "routes[3].rateLimit.burst: unknown key",
		"routes[4]" + host, "routes[5]" + host, "routes[6]" + host, "routes[7]" + host, "routes[8]" + host, "routes[9].host: must be a string",
		"routes[11]: GET a/k is routed twice", "routes[14].path: b/l/{y} and b/l/{x} have the same shape",
	} {
		require.Contains(t, err.Error(), want)
	}
	require.Len(t, problems, 41, err.Error())
	require.NotContains(t, err.Error(), "u:p@")
}

func TestUpstreamsAreAMapping(t *testing.T) {
	for _, text := range []string{"[]", "{}", "text", "~"} {
		_, err := route.Load([]byte("upstreams: " + text + "\nroutes: [{path: /a, capability: a:b}]\n"))
		require.EqualError(t, err, "route file:\n  upstreams: must be a mapping of 1 to 64 names", text)
	}
}
