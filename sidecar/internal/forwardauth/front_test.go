package forwardauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth/proxytest"
)

// Every answer of the sidecar is a refusal to real proxies, and reaches the
// client as far as they can. nginx has a page for those that agents can do
// something about, 403 for the rest.
func TestRefusalsThroughProxies(t *testing.T) {
	var forwarded atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded.Add(1)
		w.Header().Set("X-AgentIdP-Error", "no word of the API's")
		if r.URL.Path == "/wide" && r.Header.Get("X-Agent-Scope") != wide {
			w.WriteHeader(http.StatusTeapot)
		}
		if r.URL.Path == "/forbidden" { // the API's own answer is left alone
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, "the API's")
	}))
	t.Cleanup(api.Close)
	s := newStage(t)
	nginx := proxytest.Nginx(t, api.URL, "http://"+s.addr)
	caddy := proxytest.Caddy(t, api.URL, "http://"+s.addr)
	own := map[int]bool{400: true, 401: true, 403: true, 405: true, 429: true, 503: true}
	for _, status := range []int{400, 401, 403, 404, 405, 408, 413, 414, 417, 429, 431, 500, 502, 503, 504, 505} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			request := method + " /status/" + strconv.Itoa(status) + " HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
			for address, want := range map[string]int{nginx: 403, caddy: status} {
				if own[status] {
					want = status
				}
				answer := raw(t, address, request)
				require.Equal(t, want, answer.StatusCode)
				if method != "HEAD" {
					require.Equal(t, body("because"), answer.body)
				}
				for name, value := range map[string]string{
					"Content-Type": "application/json", "X-AgentIdP-Error": "because", "Cache-Control": "no-store",
					"WWW-Authenticate": `Bearer realm="agentidp", error="x"`, "Retry-After": "7", "Allow": "GET", "RateLimit": `"route";r=0;t=60`, "RateLimit-Policy": `"route";q=1;w=60`,
				} {
					require.Equal(t, []string{value}, answer.Header.Values(name), "%s of %d", name, status)
				}
			}
		}
	}
	require.Zero(t, forwarded.Load())
	for _, address := range []string{nginx, caddy} {
		answer := raw(t, address, "GET /panic HTTP/1.1\r\nHost: api.example\r\n\r\n")
		require.GreaterOrEqual(t, answer.StatusCode, 500)
		require.Zero(t, forwarded.Load())
		for path, status := range map[string]int{"/notes": 200, "/wide": 200, "/forbidden": 403} {
			answer = raw(t, address, "GET "+path+" HTTP/1.1\r\nHost: api.example\r\n\r\n")
			require.Equal(t, status, answer.StatusCode)
			require.Equal(t, "the API's", answer.body)
			for _, name := range []string{"WWW-Authenticate", "Retry-After", "X-AgentIdP-Error", "X-Agent-Id", "Cache-Control"} {
				require.Empty(t, answer.Header.Values(name), name)
			}
		}
		forwarded.Store(0)
	}
}

// Traefik is in no package of Debian's: its example asks where the convention
// is, and takes every header that identifies from the answer alone.
func TestTraefikExample(t *testing.T) {
	content, err := os.ReadFile("../../../deploy/forward-auth/traefik.yml")
	require.NoError(t, err)
	var config struct {
		HTTP struct {
			Routers     map[string]struct{ Middlewares []string }
			Middlewares map[string]struct {
				ForwardAuth struct {
					Address                  string
					TrustForwardHeader       *bool  `yaml:"trustForwardHeader"`
					AuthResponseHeadersRegex string `yaml:"authResponseHeadersRegex"`
				} `yaml:"forwardAuth"`
				Headers struct {
					CustomRequestHeaders  map[string]string `yaml:"customRequestHeaders"`
					CustomResponseHeaders map[string]string `yaml:"customResponseHeaders"`
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(content, &config))
	require.Equal(t, []string{"agentidp", "afterwards"}, config.HTTP.Routers["api"].Middlewares)
	asks := config.HTTP.Middlewares["agentidp"].ForwardAuth
	require.Equal(t, "http://127.0.0.1:8084/auth/forwarded", asks.Address)
	require.False(t, *asks.TrustForwardHeader)
	taken := regexp.MustCompile(asks.AuthResponseHeadersRegex)

	s := newStage(t)
	answer := s.raw(question("/auth/forwarded", traefikTells("GET", "/notes")...))
	for name := range answer.Header {
		ours := strings.HasPrefix(name, "X-Agent") || name == "X-Request-Id"
		require.Equal(t, ours, taken.MatchString(name), name)
	}
	for _, name := range []string{"X-Agent", "X-Agent-Anything", "x-agentidp-error", "X-Agentidp-Decision-Id"} {
		require.True(t, taken.MatchString(name), name)
	}
	for _, name := range []string{"Authorization", "Connection", "Upgrade"} {
		require.Contains(t, config.HTTP.Middlewares["afterwards"].Headers.CustomRequestHeaders, name)
	}
	require.Equal(t, map[string]string{"X-AgentIdP-Error": ""}, config.HTTP.Middlewares["afterwards"].Headers.CustomResponseHeaders)
	for name, value := range config.HTTP.Middlewares["afterwards"].Headers.CustomRequestHeaders {
		require.Empty(t, value, name)
	}
}
