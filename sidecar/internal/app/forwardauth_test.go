package app_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth/proxytest"
)

const forwardAuthRoutes = `
routes:
  - {methods: [GET], path: /open, capability: public}
  - {methods: [GET], path: /notes, capability: "notes:read"}
  - {methods: [POST], path: /notes, capability: "notes:write"}
  - {methods: [GET], path: "/notes/{id}", capability: "notes:read"}
  - {methods: [GET, POST], path: /admin, capability: "admin:all"}
  - {methods: [GET], path: "/pub/**", capability: public}
  - {methods: [POST], path: /inbox, capability: public}
  - {methods: [GET], path: /rare, capability: "notes:read", rateLimit: {requests: 1, per: 1h}}
`

// front is a real proxy before an API, which asks the sidecar.
type front struct {
	*stage
	name, addr string

	mu       sync.Mutex
	arrived  []string       // at the API, each request as text
	requests []http.Request // the same
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = append(f.arrived, fmt.Sprintf("%s %s %s\n%v\n%s", r.Method, r.RequestURI, r.Host, r.Header, body))
	f.requests = append(f.requests, *r)
	_, _ = io.WriteString(w, "hello")
}

func newFront(s *stage, name string, start func(t testing.TB, upstreamURL, authURL string) string) *front {
	s.t.Helper()
	f := &front{stage: s, name: name}
	api := httptest.NewServer(f)
	s.t.Cleanup(api.Close)
	f.addr = start(s.t, api.URL, "http://"+s.app.ForwardAuthAddr().String())
	return f
}

// raw sends a request by its bytes. from is the client's address, so that no
// decision is folded into another.
func (f *front) raw(from, request string) (*http.Response, string) {
	f.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", f.addr)
	require.NoError(f.t, err)
	defer conn.Close()
	require.NoError(f.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	require.NoError(f.t, err)
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(f.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(f.t, err)
	return answer, string(body)
}

func head(line string, fields ...string) string {
	return line + " HTTP/1.1\r\nHost: api.example\r\n" + strings.Join(append(fields, "\r\n"), "\r\n")
}

// asked is one request to a front, and what must come of it.
type asking struct {
	name    string
	request string
	status  int
	reason  string // of the refusal; "" if it is the front's own
	sees    map[string]string
	nginx   int    // status, where nginx answers by itself
	only    string // the front that it is about
}

// askings are attacks on what an API behind a front may trust. "admin" is what
// no API may ever see.
func askings(token, agent string) []asking {
	bearer := "Authorization: Bearer " + token
	known := map[string]string{"X-Agent-Id": agent, "X-Agent-Scope": "notes:read", "X-Agent-Organization": "default"}
	nobody := map[string]string{"X-Agent-Id": "", "X-Agent-Scope": ""}
	claims := []string{"X-Agent-Id: admin", "X-Agent-Scope: admin:all", "X-Agent-Organization: admin", "X-Agent-Client-Id: admin", "X-AgentIdP-Decision-Id: admin"}
	folded := []string{"X_Agent_Id: admin", "x-agent_id: admin", "X-AGENT_SCOPE: admin", "X_FORWARDED_FOR: admin", "X_Original_URL: /admin", "X_Request_Id: admin"}
	dotted := []string{"X.Agent.Id: admin", "X~Agent!Id: admin", "x.forwarded.host: admin"}
	for _, sign := range "!#$%&'+^`|~" {
		dotted = append(dotted, "X"+string(sign)+"Agent-Id: admin")
	}
	hops := []string{"Forwarded: for=admin", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: admin", "X-Forwarded-Proto: admin", "X-Forwarded-Port: admin", "X-Forwarded-Prefix: /admin",
		"X-Forwarded-Uri: /admin", "X-Forwarded-Method: POST", "X-Original-URL: /admin", "X-Original-URI: /admin", "X-Original-Method: POST", "X-Original-Host: admin", "X-Rewrite-URL: /admin",
		"X-HTTP-Method-Override: admin", "X-Real-IP: admin"}
	for _, name := range []string{
		"X-Forwarded", "X-Forwarded-By", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-User", "X-Forwarded-Preferred-Username", "X-Forwarded-Email",
		"X-Forwarded-Groups", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "Forwarded-For", "X-Original-Forwarded-For", "X-Rewrite-URI", "X-Host", "X-HTTP-Host-Override",
		"X-HTTP-Method", "X-Method-Override", "HTTP-Method-Override", "X-Client-IP", "Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
		"X-Remote-User", "Remote-User", "X-Agent", "X-AgentIdP-Error", "Proxy", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Authentication-Info", "HTTP2-Settings",
		"X-Forwarded-Tls-Client-Cert",
	} {
		hops = append(hops, name+": admin")
	}
	with := func(fields []string, more ...string) []string { return append(slices.Clone(fields), more...) }
	return []asking{
		{name: "B1 identity on an allowed route", request: head("GET /notes", with(claims, bearer)...), status: 200, sees: known},
		{name: "B1 identity on a public route", request: head("GET /open", claims...), status: 200, sees: nobody},
		{name: "B1 identity on a public route with a token", request: head("GET /open", with(claims, bearer)...), status: 200, sees: nobody},
		{name: "B1 another of our families", request: head("GET /notes", bearer, "X-Agent-Role: admin"), status: 400, reason: "header_reserved", only: "nginx"},
		{name: "B1 any of our families", request: head("GET /open", "X-Agent-Role: admin", "X-AgentIdP-Role: admin", "X-Forwarded-Role: admin"), status: 200, sees: nobody, only: "caddy"},
		{name: "B7 another of the proxies' family", request: head("GET /open", "X-Forwarded-Role: admin"), status: 400, reason: "header_reserved", only: "nginx"},
		{name: "B2 underscores", request: head("GET /notes", with(folded, bearer)...), status: 200, sees: known},
		{name: "B2 underscores on a public route", request: head("GET /open", folded...), status: 200, sees: nobody},
		{name: "B3 dots and punctuation", request: head("GET /notes", with(dotted, bearer)...), status: 200, sees: known},
		{name: "B3 dots on a public route", request: head("GET /open", dotted...), status: 200, sees: nobody},
		{name: "B3 what Caddy cannot remove", request: head("GET /notes", bearer, "X*Agent*Id: admin"), status: 400, reason: "header_disguised", only: "caddy"},
		{name: "B4 Connection names ours", request: head("GET /notes", bearer, "Connection: close, X-Agent-Id, X-Agent-Scope"), status: 200, sees: known},
		{name: "B4 Connection names what asks", request: head("GET /notes", bearer, "Connection: X-Original-URI, X-Original-Method, X-Forwarded-Uri, X-Forwarded-Method, Authorization", "X-Original-URI: /open", "X-Forwarded-Uri: /open"),
			status: 200, sees: known},
		{name: "B7 what proxies say", request: head("GET /notes", with(hops, bearer)...), status: 200, sees: known},
		{name: "B7 on a public route", request: head("GET /open", hops...), status: 200, sees: nobody},
		{name: "B7 cannot choose another route", request: head("GET /admin", with(hops, bearer, "X-Original-URI: /open", "X-Forwarded-Uri: /open")...), status: 403, reason: "capability_missing"},
		{name: "B11 absolute form", request: head("GET http://evil.example/open", bearer), status: 400, reason: "target_form", nginx: 400},
		{name: "A19 two credentials", request: head("GET /notes", bearer, bearer), status: 400, reason: "credential_duplicate", nginx: 400},
		{name: "A19 Basic and Bearer", request: head("GET /notes", "Authorization: Basic eDp5", bearer), status: 400, reason: "credential_duplicate", nginx: 400},
		{name: "A19 a list", request: head("GET /notes", bearer+", Bearer "+token), status: 400, reason: "credential_ambiguous"},
		{name: "A19 folded", request: head("GET /notes", bearer, " x"), status: 400, reason: "credential_ambiguous", nginx: 400},
		{name: "D1 two slashes", request: head("GET //admin"), status: 400, reason: "path_empty_segment"},
		{name: "D1 three slashes", request: head("GET ///admin"), status: 400, reason: "path_empty_segment"},
		{name: "D1 slashes inside", request: head("GET /pub//admin"), status: 400, reason: "path_empty_segment"},
		{name: "D2 a host in the path", request: head("GET //admin/public?x=://"), status: 400, reason: "path_empty_segment"},
		{name: "D3 dots", request: head("GET /pub/../admin"), status: 400, reason: "path_dot_segment"},
		{name: "D3 escaped dots", request: head("GET /pub/%2e%2e/admin"), status: 400, reason: "path_escape"},
		{name: "D3 twice escaped dots", request: head("GET /pub/%252e%252e/admin"), status: 400, reason: "path_escape"},
		{name: "D3 a parameter", request: head("GET /pub/..;/admin"), status: 400, reason: "path_parameter"},
		{name: "D3 half escaped dots", request: head("GET /pub/.%2e/admin"), status: 400, reason: "path_escape"},
		{name: "D4 an escaped slash", request: head("GET /pub%2fadmin"), status: 400, reason: "path_escape"},
		{name: "D5 a fragment", request: head("GET /open#/../admin"), status: 400, reason: "target_fragment"},
		{name: "D6 a query", request: head("GET /admin?x=/open", bearer), status: 403, reason: "capability_missing"},
		{name: "D10 near misses", request: head("GET /Admin", bearer), status: 403, reason: "no_route"},
		{name: "the target goes on as it came", request: head("GET /notes/a%20b!$&'()*+,=:@?q=/../%2e%2F//", bearer), status: 200, sees: known},
		{name: "an empty query", request: head("GET /notes?", bearer), status: 200, sees: known},
		{name: "a body", request: head("POST /inbox", "Content-Length: 5") + "hello", status: 200, sees: nobody},
		{name: "a chunked body", request: head("POST /inbox", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", status: 200, sees: nobody},
		{name: "no body where none is allowed to go", request: head("POST /notes", bearer, "Content-Length: 5") + "hello", status: 403, reason: "capability_missing"},
		{name: "no token", request: head("GET /notes"), status: 401, reason: "token_missing"},
		{name: "a bad token", request: head("GET /notes", bearer+"x"), status: 401, reason: "malformed"},
		{name: "another method", request: head("DELETE /notes", bearer), status: 405, reason: "method_not_allowed"},
		{name: "nobody else asks", request: head("GET /_agentidp", bearer), status: 403, reason: "no_route", nginx: 404},
		{name: "nobody else is refused", request: head("GET /_agentidp/refused/400", bearer), status: 403, reason: "no_route", nginx: 404},
		{name: "HEAD", request: head("HEAD /notes", bearer), status: 200, sees: known},
	}
}

// TestForwardAuth sends attacks through real proxies that ask the sidecar.
func TestForwardAuth(t *testing.T) {
	s := newStage(t, idptest.Start(t), func(c *app.Config) {
		c.ForwardAuthListen, c.TrustedProxies = "127.0.0.1:0", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		c.Routes = writeFile(t, "routes.yaml", forwardAuthRoutes)
	}).start()
	agent, token := s.reader()
	fronts := []*front{newFront(s, "nginx", proxytest.Nginx), newFront(s, "caddy", proxytest.Caddy)}
	decided := 0
	for number, f := range fronts {
		for i, fact := range askings(token, agent.AgentID) {
			if fact.only != "" && fact.only != f.name {
				continue
			}
			t.Run(f.name+" "+fact.name, func(t *testing.T) {
				decided += fact.run(t, f, fmt.Sprintf("127.%d.0.%d", number+2, i+1))
			})
		}
		t.Run(f.name+" rate limit", func(t *testing.T) { rareThrough(t, f) })
		decided += 2
	}
	s.waitFor("every decision is in the audit log", func() bool { return len(s.decisions()) == decided })
	s.stop()
	for _, f := range fronts {
		t.Run(f.name+" without the sidecar", func(t *testing.T) { closedWithout(t, f) })
	}
}

// run answers how many decisions were made.
func (a *asking) run(t *testing.T, f *front, from string) int {
	before := len(f.arrived)
	answer, body := f.raw(from, a.request)
	if f.name == "nginx" && a.nginx != 0 {
		require.Equal(t, a.nginx, answer.StatusCode)
		require.Len(t, f.arrived, before)
		return 0
	}
	require.Equal(t, a.status, answer.StatusCode, body)
	require.Equal(t, a.reason, answer.Header.Get("X-AgentIdP-Error"), body)
	if a.status != 200 {
		require.Len(t, f.arrived, before, "refusals reach nobody")
		require.Contains(t, body, `"reason":"`+a.reason+`"`)
		require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
		if a.status == 401 || a.status == 403 {
			require.Len(t, answer.Header.Values("WWW-Authenticate"), 1)
		}
		require.Equal(t, a.status == 405, answer.Header.Get("Allow") != "")
		return 1
	}
	require.Len(t, f.arrived, before+1)
	line, _, _ := strings.Cut(a.request, " HTTP/1.1\r\n")
	require.True(t, strings.HasPrefix(f.arrived[before], line+" api.example\n"), "%s is not %s", f.arrived[before], line)
	require.NotContains(t, f.arrived[before], "admin")
	require.NotContains(t, f.arrived[before], "Bearer")
	header := f.requests[before].Header
	for name, want := range a.sees {
		require.Equal(t, want, strings.Join(header.Values(name), "|"), name)
		require.Equal(t, want != "", len(header.Values(name)) == 1, "%s is there without a value", name)
	}
	require.Equal(t, []string{from}, header.Values("X-Forwarded-For"))
	require.Len(t, header.Values("X-Request-Id"), 1)
	require.Len(t, header.Values("X-AgentIdP-Decision-Id"), 1)
	for _, name := range slices.Collect(maps.Keys(header)) {
		require.Empty(t, strings.Trim(name, "-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), "another name than it seems")
	}
	if strings.HasPrefix(a.request, "POST") {
		require.True(t, strings.HasSuffix(f.arrived[before], "\nhello"))
	}
	return 1
}

// The second request within the hour is told when to come again.
func rareThrough(t *testing.T, f *front) {
	_, token := f.in(t).reader()
	request := head("GET /rare", "Authorization: Bearer "+token)
	answer, body := f.raw("127.0.0.1", request)
	require.Equal(t, 200, answer.StatusCode, body)
	answer, body = f.raw("127.0.0.1", request)
	require.Equal(t, 429, answer.StatusCode, body)
	require.Equal(t, "rate_limited", answer.Header.Get("X-AgentIdP-Error"))
	for _, name := range []string{"Retry-After", "RateLimit", "RateLimit-Policy"} {
		require.Len(t, answer.Header.Values(name), 1, name)
	}
}

// Nothing passes that nobody decided.
func closedWithout(t *testing.T, f *front) {
	before := len(f.arrived)
	for _, path := range []string{"/open", "/notes", "/_agentidp", "/_agentidp/refused/200", "/_agentidp/away", "/auth/nginx", "/auth/forwarded"} {
		answer, body := f.raw("127.0.0.1", head("GET "+path, "X-Agent-Id: admin"))
		if f.name == "nginx" && !strings.HasPrefix(path, "/_") {
			require.Equal(t, 503, answer.StatusCode)
			require.Equal(t, "5", answer.Header.Get("Retry-After"))
			require.Contains(t, body, "sidecar_away")
		}
		require.GreaterOrEqual(t, answer.StatusCode, 404, body)
		require.NotContains(t, body, "hello")
	}
	require.Len(t, f.arrived, before)
}
