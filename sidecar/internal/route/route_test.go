package route_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const notes = `
routes:
  - {methods: [GET], path: /notes, capability: notes:read}
  - {methods: [POST], path: /notes, capability: notes:write, forwardToken: true}
  - {methods: [GET, DELETE], path: "/notes/{id}", capability: notes:read}
  - {path: "/notes/{id}/**", capability: notes:files, onStale: last_good}
  - {methods: [GET], path: /notes/latest, capability: notes:read}
  - {methods: [HEAD], path: /notes/latest, capability: notes:head}
  - {methods: [GET], path: /health, capability: public}
  - {methods: [OPTIONS], path: /health, capability: public}
  - {methods: [GET], path: "/v1/notes:search", capability: notes:search}
  - {methods: [GET], path: "/v1/{thing}", capability: notes:thing}
  - {methods: [GET], path: /dir/, capability: notes:dir}
  - {methods: [GET], path: "/a/{x}/c", capability: a:c}
  - {methods: [GET], path: "/a/b/**", capability: a:b}
`

func load(t testing.TB, file string) *route.Table {
	t.Helper()
	table, err := route.Load([]byte(file))
	require.NoError(t, err)
	return table
}

func TestMatch(t *testing.T) {
	table := load(t, notes)
	require.Len(t, table.Routes(), 13)
	found := func(method, path, id, capability string) *route.Route {
		t.Helper()
		m := table.Match([]byte(method), nil, []byte(path))
		require.Equal(t, route.Found, m.Outcome, path)
		require.Equal(t, id, m.Route.ID)
		require.Equal(t, id, m.ID)
		require.Equal(t, capability, m.Route.Capability)
		return m.Route
	}
	outcome := func(method, path string, want route.Outcome) route.Match {
		t.Helper()
		m := table.Match([]byte(method), nil, []byte(path))
		require.Equal(t, want, m.Outcome, path)
		require.Nil(t, m.Route)
		return m
	}
	require.False(t, found("GET", "/notes", "/notes", "notes:read").ForwardToken)
	require.True(t, found("POST", "/notes", "/notes", "notes:write").ForwardToken)
	found("HEAD", "/notes", "/notes", "notes:read")
	found("GET", "/notes/1", "/notes/{id}", "notes:read")
	found("GET", "/notes/a%20b", "/notes/{id}", "notes:read")
	found("GET", "/notes/c%23", "/notes/{id}", "notes:read")
	found("GET", "/notes/latest", "/notes/latest", "notes:read")
	found("HEAD", "/notes/latest", "/notes/latest", "notes:head")
	r := found("PUT", "/notes/1/x/y", "/notes/{id}/**", "notes:files")
	require.True(t, r.LastGood)
	require.Equal(t, []string{"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"}, r.Methods)
	found("GET", "/v1/notes:search", "/v1/notes:search", "notes:search")
	found("GET", "/v1/x:y", "/v1/{thing}", "notes:thing")
	found("GET", "/dir/", "/dir/", "notes:dir")
	require.True(t, found("GET", "/health", "/health", "public").Public())

	// Left to right: the literal b wins at the second segment, whatever comes after.
	found("GET", "/a/b/c", "/a/b/**", "a:b")
	found("GET", "/a/b", "/a/b/**", "a:b")
	found("GET", "/a/x/c", "/a/{x}/c", "a:c")

	for _, path := range []string{"/", "/Notes", "/notes/", "/note", "/notesx", "/dir", "/a/x/d", "/a", "/v1/a/b", "/admin%20", "/health/"} {
		outcome("GET", path, route.NoPath)
	}
	m := outcome("DELETE", "/notes", route.NoMethod)
	require.Equal(t, "GET, HEAD, POST", m.Allow)
	require.Equal(t, "/notes", m.ID)
	require.False(t, m.Open)
	outcome("get", "/notes", route.NoMethod)
	outcome("OPTIONS", "/notes", route.NoMethod) // a preflight passes only where a route says so
	m = outcome("POST", "/health", route.NoMethod)
	require.True(t, m.Open)
	require.Equal(t, "GET, HEAD, OPTIONS", m.Allow)

	// Near misses of a literal that a wildcard would swallow.
	for _, path := range []string{"/notes/LATEST", "/notes/latest.", "/notes/latest%20", "/v1/notes%3Asearch", "/notes/latest%3Fx", "/notes/latest%23"} {
		outcome("GET", path, route.Ambiguous)
	}
}

func TestCatchAllDoesNotSwallowNearMisses(t *testing.T) {
	table := load(t, `
routes:
  - {path: /**, capability: public}
  - {path: /admin, capability: admin:all}
  - {path: /Upper, capability: admin:all}
  - {path: "/s/{q}", capability: s:q}
`)
	outcome := func(path string, want route.Outcome) {
		t.Helper()
		require.Equal(t, want, table.Match([]byte("GET"), nil, []byte(path)).Outcome, path)
	}
	for _, path := range []string{"/", "/x", "/x/y/", "/admin/x", "/Upper", "/s/a", "/s/what%3F"} {
		outcome(path, route.Found)
	}
	for _, path := range []string{"/admin/", "/Admin", "/ADMIN/", "/admin%20", "/admin.", "/admin%3Fx", "/admin%23.css", "/upper", "/s/a/", "/S/a"} {
		outcome(path, route.Ambiguous)
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	table := load(t, notes)
	for _, path := range []string{"/notes", "/notes/some%20id", "/notes/UPPER/x%3Fy", "/nothing"} {
		method, target := []byte("GET"), []byte(path)
		alloctest.Zero(t, func() { table.Match(method, nil, target) }, path)
	}
	long := []byte("/notes/" + strings.Repeat("x", 4000))
	require.Equal(t, route.Found, table.Match([]byte("GET"), nil, long).Outcome)
}

func TestLoadListsEveryProblemAtOnce(t *testing.T) {
	_, err := route.Load([]byte(`
version: 1
routes:
  - {methods: [get, TRACE, GET, GET, 1], path: notes, capability: Notes}
  - {methods: [], path: "/a//b", capability: a:b, websocket: 1, mode: dark, typo: 1}
  - just text
  - {path: "/a/**/b", capability: a:b, forwardToken: "true", onStale: never}
  - {path: "/a/{x}/{x}", capability: [a:b]}
  - {methods: GET, path: "", path: /x}
  - {path: "/a/../b", capability: a:b}
  - {path: "/a/*", capability: a:b}
  - {path: "/a/:id", capability: a:b}
  - {path: "/a%20b", capability: a:b}
  - {path: "/a;b", capability: a:b}
  - {path: "/a/{x}", capability: a:b}
  - {path: "/a/{y}", methods: [PURGE], capability: a:b}
  - {path: "/a/{x}", methods: [GET, PURGE], capability: a:c}
`))
	var problems route.Problems
	require.ErrorAs(t, err, &problems)
	for _, want := range []string{
		"version: unknown key",
		"routes[0].path: must start with /", "routes[0].methods[0]: must be an upper-case", "routes[0].methods[1]: TRACE is never served",
		"routes[0].methods[3]: GET stands twice", "routes[0].methods[4]: must be a string", "routes[0].capability: must be public or",
		"routes[1].methods: must be a list", "routes[1].path: has an empty segment", "routes[1].websocket: must be true or false",
		"routes[1].mode: must be shadow", "routes[1].typo: unknown key",
		"routes[2]: must be a mapping",
		"routes[3].path: ** is allowed as the last", "routes[3].forwardToken: must be true or false", "routes[3].onStale: must be last_good",
		"routes[4].path: names {x} twice", "routes[4].capability: must be a string",
		"routes[5].methods: must be a list", "routes[5].path: stands twice", "routes[5].path: is empty", "routes[5].capability: is missing",
		"routes[6].path: segment \"..\"", "routes[7].path: segment \"*\"", "routes[8].path: segment \":id\"", "routes[9].path: segment", "routes[10].path: segment",
		"routes[12].path: /a/{y} and /a/{x} have the same shape", "routes[13]: GET /a/{x} is routed twice",
	} {
		require.Contains(t, err.Error(), want)
	}
	require.Len(t, problems, 29, err.Error())
}

func TestLoadRefusesWholeFiles(t *testing.T) {
	for file, want := range map[string]string{
		"":                                   "file: is empty",
		"# nothing\n":                        "file: is empty",
		"a":                                  "file: must be a mapping",
		"routes:":                            "routes: must be a list",
		"routes: []":                         "routes: must be a list",
		"{}":                                 "routes: is missing",
		"routes: [\n":                        "file: yaml",
		"routes: []\n---\nroutes: []\n":      "file: must hold one YAML document",
		strings.Repeat("#", route.MaxFile+1): "file: must be at most",
		"routes:\n- {path: /" + strings.Repeat("a", 600) + ", capability: a:b}": "routes[0].path: must start with",
	} {
		_, err := route.Load([]byte(file))
		require.ErrorContains(t, err, want)
	}
}

func TestOnStaleIsOneWord(t *testing.T) {
	for value, good := range map[string]bool{
		"last_good": true, `"last_good"`: true,
		`""`: false, "": false, "~": false, "true": false, "LAST_GOOD": false, "[last_good]": false, "{last_good: true}": false, "!x last_good": false,
	} {
		table, err := route.Load([]byte("routes:\n- {path: /a, capability: a:b, onStale: " + value + "}\n"))
		if !good {
			require.EqualError(t, err, "route file:\n  routes[0].onStale: must be last_good", value)
			continue
		}
		require.NoError(t, err)
		require.True(t, table.Match([]byte("GET"), nil, []byte("/a")).Route.LastGood)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	table := load(t, "routes:\n- &a {path: /a, methods: &m [GET], capability: a:b}\n- {path: /b, methods: *m, capability: a:b}\n")
	require.Equal(t, route.Found, table.Match([]byte("GET"), nil, []byte("/b")).Outcome)
}

func BenchmarkMatch(b *testing.B) {
	var file strings.Builder
	file.WriteString("routes:\n")
	for i := range 200 {
		fmt.Fprintf(&file, "- {path: '/svc%d/{id}/items/{item}', capability: a:b}\n", i)
	}
	table := load(b, file.String())
	method, path := []byte("GET"), []byte("/svc150/0123-4567/items/abc")
	b.ReportAllocs()
	for b.Loop() {
		if table.Match(method, nil, path).Route == nil {
			b.Fatal("no route")
		}
	}
}
