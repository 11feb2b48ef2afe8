package forwardauth_test

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth"
)

func TestNewRefuses(t *testing.T) {
	whole := forwardauth.Options{Ask: (&engine{}).ask, Peers: loopback, Log: slog.Default(), Metrics: metrics.NewSet()}
	for want, change := range map[string]func(*forwardauth.Options){
		"required":      func(o *forwardauth.Options) { o.Ask = nil },
		"nobody may":    func(o *forwardauth.Options) { o.Peers = nil },
		"and Metrics a": func(o *forwardauth.Options) { o.Metrics = nil },
	} {
		o := whole
		change(&o)
		_, err := forwardauth.New(o)
		require.ErrorContains(t, err, want)
	}
}

// What each kind of proxy tells becomes the request that it holds.
func TestConventions(t *testing.T) {
	own := []string{"Authorization: Bearer x", "cookie:  a=b", "X-Agent-Id: admin", "Expect: 100-continue", "Traceparent: 00-1"}
	hop := []string{"Connection: close", "Upgrade: websocket", "Content-Length: 0"}
	traefik := slices.Concat(hop, own, traefikTells("PATCH", "/a?b=%2F&c"))
	for name, fact := range map[string]struct{ path, line string }{
		"nginx":                     {"/auth/nginx", question("/auth/nginx", slices.Concat(nginxTells("PATCH", "/a?b=%2F&c"), own, hop)...)},
		"nginx as it is by default": {"/auth/nginx", strings.Replace(question("/auth/nginx", slices.Concat(own, nginxTells("PATCH", "/a?b=%2F&c"))...), "HTTP/1.1", "HTTP/1.0", 1)},
		"traefik":                   {"/auth/forwarded", question("/auth/forwarded", traefik...)},
		"in other cases":            {"/auth/forwarded", question("/auth/forwarded", append(slices.Concat(hop, own), "x-forwarded-method: PATCH", "X-FORWARDED-URI:/a?b=%2F&c", "X-forwarded-Host: api.example", "x-forwarded-proto: https", "x-forwarded-for: 192.0.2.7")...)},
		"caddy, with the query":     {"/auth/forwarded", question("/auth/forwarded?b=%2F&c", traefik...)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			answer := s.raw(fact.line)
			require.Equal(t, 200, answer.StatusCode, answer.body)
			require.Len(t, s.all(), 1)
			got := s.all()[0]
			got.head = (&asked{}).head
			require.Equal(t, asked{
				Method: "PATCH", Target: "/a?b=%2F&c", Host: "api.example", Client: "192.0.2.7", Proto: "https",
				Fields: "Host: api.example\r\n" + strings.Join(own, "\r\n") + "\r\n\r\n",
			}, got)
		})
	}
}

// The address of the client is what the chain of trusted proxies says.
func TestClient(t *testing.T) {
	s := newStage(t, func(o *forwardauth.Options) { o.Peers = append(o.Peers, netip.MustParsePrefix("10.0.0.0/8")) })
	for chain, want := range map[string]string{
		"192.0.2.7":                       "192.0.2.7",
		"192.0.2.1, 192.0.2.7":            "192.0.2.7",
		"192.0.2.1, 192.0.2.7, 10.0.0.1":  "192.0.2.7",
		"2001:db8::7":                     "2001:db8::7",
		"192.0.2.7, unknown":              "127.0.0.1",
		"192.0.2.1, unknown, 10.0.0.1":    "10.0.0.1",
		"192.0.2.1, 192.0.2.7, 127.0.0.1": "192.0.2.7",
	} {
		fields := nginxTells("GET", "/notes")
		fields[4] = "X-Forwarded-For: " + chain
		require.Equal(t, 200, s.raw(question("/auth/nginx", fields...)).StatusCode)
		all := s.all()
		require.Equal(t, want, all[len(all)-1].Client, chain)
	}
}

// doubtful are questions that are refused, and why.
func doubtful() map[string]struct{ question, reason string } {
	without := func(fields []string, i int) []string { return slices.Delete(slices.Clone(fields), i, i+1) }
	with := func(fields []string, i int, field string) []string {
		fields = slices.Clone(fields)
		fields[i] = field
		return fields
	}
	facts := map[string]struct{ question, reason string }{}
	for path, tells := range map[string]func(string, string) []string{"/auth/nginx": nginxTells, "/auth/forwarded": traefikTells} {
		whole := tells("GET", "/notes")
		add := func(name, reason string, fields ...string) {
			facts[path+" "+name] = struct{ question, reason string }{question(path, fields...), reason}
		}
		for i, field := range whole {
			name, _, _ := strings.Cut(field, ":")
			add("without "+name, "question_incomplete", without(whole, i)...)
			add("with an empty "+name, "question_incomplete", with(whole, i, name+":")...)
			add("with two "+name, "question_repeated", append(whole, strings.ToLower(field))...)
		}
		add("with nothing", "question_incomplete")
		add("another scheme", "question_scheme", with(whole, 3, "X-Forwarded-Proto: ftp")...)
		add("a scheme in capitals", "question_scheme", with(whole, 3, "X-Forwarded-Proto: HTTPS")...)
		add("a body", "question_body", append(whole, "Content-Length: 3\r\n\r\nabc")...)
		add("a chunked body", "question_body", append(whole, "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0")...)
		for i, field := range map[string][]string{"/auth/nginx": traefikTells("GET", "/open")[:2], "/auth/forwarded": nginxTells("GET", "/open")[:2]}[path] {
			add("of both conventions "+field, "question_mixed", append(whole, field)...)
			add("of the other convention "+field, "question_mixed", with(whole, i, field)...)
		}
		for _, name := range []string{"X_Agent_Id", "x-agent_id", "X.Agent.Scope", "X~Agent!Id", "X_Forwarded_Uri", "X_Original_URL", "X_Real_IP", "Content_Length", "Transfer_Encoding", "X_Request_Id"} {
			add("with "+name, "header_disguised", append(whole, name+": admin")...)
		}
		for _, name := range []string{"X-Agent-Role", "x-agent-role", "X-AgentIdP-Role", "X-Forwarded-Role", "X-Agent-" + strings.Repeat("a", 40) + "_"} {
			add("with "+name, "header_reserved", append(whole, name+": admin")...)
		}
		// What the guard refuses of the request that is held.
		for reason, target := range map[string]string{
			"path_empty_segment": "//admin", "path_dot_segment": "/pub/../admin", "path_escape": "/pub/%2e%2e/admin", "path_parameter": "/pub/..;/admin", "path_backslash": `/pub\..\admin`,
			"target_form": "http://evil.example/x", "target_fragment": "/open#/admin", "target_byte": "/a b", "uri_too_long": "/" + strings.Repeat("a", 8<<10),
		} {
			add(reason, reason, tells("GET", target)...)
		}
		add("the method", "method_invalid", tells("get", "/notes")...)
		add("TRACE", "method_not_allowed", tells("TRACE", "/notes")...)
		add("the host", "host_invalid", with(whole, 2, strings.Replace(whole[2], "api.example", "api.example, evil.example", 1))...)
		add("two credentials", "credential_duplicate", append(whole, "Authorization: Bearer a", "Authorization: Bearer b")...)
		add("two of a singleton", "header_duplicate", append(whole, "Range: a", "Range: b")...)
		add("a folded field", "header_folded", append(whole, "Authorization: Bearer a", " b")...)
		add("an expectation", "expectation_failed", append(whole, "Expect: a miracle")...)
		add("many fields", "header_count", append(whole, slices.Repeat([]string{"A: b"}, 100)...)...)
		add("long fields", "header_too_large", append(whole, "A: "+strings.Repeat("b", 15<<10))...)
	}
	return facts
}

func TestDoubts(t *testing.T) {
	s := newStage(t)
	facts := doubtful()
	for name, fact := range facts {
		answer := s.raw(fact.question)
		all := s.all()
		require.NotEmpty(t, all, name)
		require.Equal(t, fact.reason, all[len(all)-1].Reason, name)
		require.Equal(t, fact.reason, answer.Header.Get("X-AgentIdP-Error"), name)
		require.Equal(t, body(fact.reason), or(answer.Header.Get("X-AgentIdP-Body"), answer.body), name)
		if strings.HasPrefix(name, "/auth/nginx") {
			require.Equal(t, 403, answer.StatusCode, name)
		} else {
			require.Contains(t, []int{400, 405, 414, 417, 431}, answer.StatusCode, name)
		}
	}
	require.Len(t, s.all(), len(facts))
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestAnswers(t *testing.T) {
	s := newStage(t)
	for path, tells := range map[string]func(string, string) []string{"/auth/nginx": nginxTells, "/auth/forwarded": traefikTells} {
		answer := s.raw(question(path, tells("GET", "/notes")...))
		require.Equal(t, 200, answer.StatusCode)
		require.Empty(t, answer.body)
		for name, want := range map[string]string{
			"X-Agent-Id": "agent-1", "X-Agent-Organization": "default", "X-Agent-Client-Id": "client-1", "X-Agent-Scope": "notes:read notes:write",
			"X-Request-Id": "request-1", "X-AgentIdP-Decision-Id": "decision-1", "Cache-Control": "no-store",
		} {
			require.Equal(t, []string{want}, answer.Header.Values(name), path)
		}
		answer = s.raw(question(path, tells("GET", "/open")...))
		require.Equal(t, []string{""}, answer.Header.Values("X-Agent-Id"), "there, and empty")
		for status, nginx := range map[string]int{"400": 403, "401": 401, "403": 403, "405": 403, "429": 403, "503": 403} {
			answer = s.raw(question(path, tells("GET", "/status/"+status)...))
			require.Equal(t, "decision-1", answer.Header.Get("X-AgentIdP-Decision-Id"))
			require.NotEmpty(t, answer.Header.Get("WWW-Authenticate"))
			require.Equal(t, "7", answer.Header.Get("Retry-After"))
			require.Equal(t, body("because"), answer.body)
			if path == "/auth/nginx" {
				require.Equal(t, nginx, answer.StatusCode)
				require.Equal(t, status, answer.Header.Get("X-AgentIdP-Status"))
				require.Equal(t, body("because"), answer.Header.Get("X-AgentIdP-Body"))
			} else {
				require.True(t, strings.HasPrefix(answer.Status, status))
				require.Empty(t, answer.Header.Get("X-AgentIdP-Status"))
			}
		}
	}
	require.Equal(t, "4", s.counts(`sidecar_asked_total{mode="forward_auth",allowed="true"}`))
	require.Equal(t, "12", s.counts(`sidecar_asked_total{mode="forward_auth",allowed="false"}`))
}

// A stranger learns that it is one, whatever it asks.
func TestStrangers(t *testing.T) {
	s := newStage(t, func(o *forwardauth.Options) { o.Peers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	asks := []string{
		question("/auth/nginx", nginxTells("GET", "/open")...), question("/auth/forwarded", traefikTells("GET", "/open")...),
		question("/"), question("/auth/nginx"), "POST /auth/nginx HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "GET\r\n\r\n",
		question("/auth/nginx", append(nginxTells("GET", "/open"), "A: "+strings.Repeat("b", 64<<10))...),
	}
	for _, ask := range asks {
		answer := s.raw(ask)
		require.Equal(t, 403, answer.StatusCode)
		require.Equal(t, "peer_not_trusted", answer.Header.Get("X-AgentIdP-Error"))
		require.JSONEq(t, `{"code":"FORBIDDEN","message":"only trusted proxies may ask","details":{}}`, answer.body)
		require.True(t, answer.ends)
	}
	require.Empty(t, s.all(), "nothing is judged or recorded")
	require.Equal(t, "7", s.counts(`sidecar_questions_rejected_total{mode="forward_auth",reason="peer_not_trusted"}`))
	require.Equal(t, 1, strings.Count(s.logs.String(), `"level":"WARN"`), "one warning speaks for all of ten seconds")
	require.Contains(t, s.logs.String(), `"reason":"peer_not_trusted","peer":"127.0.0.1"`)
}

// What is no question is answered so.
func TestNoQuestions(t *testing.T) {
	s := newStage(t)
	for ask, want := range map[string]struct {
		status int
		reason string
	}{
		question("/", nginxTells("GET", "/open")...):            {404, "not_found"},
		question("/auth", nginxTells("GET", "/open")...):        {404, "not_found"},
		question("/auth/", nginxTells("GET", "/open")...):       {404, "not_found"},
		question("/auth/nginx/", nginxTells("GET", "/open")...): {404, "not_found"},
		question("/auth/Nginx", nginxTells("GET", "/open")...):  {404, "not_found"},
		question("//auth/nginx", nginxTells("GET", "/open")...): {404, "not_found"},
		question("/metrics"): {404, "not_found"},
		strings.Replace(question("/auth/nginx", nginxTells("GET", "/open")...), "GET", "POST", 1):         {405, "method_not_allowed"},
		strings.Replace(question("/auth/nginx", nginxTells("GET", "/open")...), "GET", "HEAD", 1):         {405, "method_not_allowed"},
		question("/auth/nginx", append(nginxTells("GET", "/open"), "A: "+strings.Repeat("b", 64<<10))...): {431, "header_too_large"},
		"GET\r\n\r\n": {400, "malformed_request"},
		question("/auth/nginx", nginxTells("GET", "/panic")...): {500, "panic"},
	} {
		answer := s.raw(ask)
		require.Equal(t, want.status, answer.StatusCode, ask)
		require.Equal(t, want.reason, answer.Header.Get("X-AgentIdP-Error"), ask)
		require.NotEmpty(t, s.counts(`sidecar_questions_rejected_total{mode="forward_auth",reason="`+want.reason+`"}`))
		if want.status == 405 {
			require.Equal(t, "GET", answer.Header.Get("Allow"))
		}
	}
	require.Empty(t, s.all())
}
