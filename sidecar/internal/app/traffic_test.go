package app_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

func TestTheDocumentedRouteFileLoads(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "docs", "sidecar.md"))
	require.NoError(t, err)
	files := regexp.MustCompile("(?s)```yaml\n(routes:.*?)```").FindAllSubmatch(page, -1)
	require.NotEmpty(t, files)
	for _, file := range files {
		_, err := route.Load(file[1])
		require.NoError(t, err)
	}
}

// routesTo is the usual routes with another upstream.
func routesTo(urls ...string) string {
	return "upstreams: {api: {urls: ['" + strings.Join(urls, "','") + "']}}" +
		strings.ReplaceAll(routesText, `capability: "notes:read"`, `capability: "notes:read", upstream: api`)
}

// put replaces the route file as editors and orchestrators do: in one step.
func (s *stage) put(routes string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.cfg.Routes+".new", []byte(routes), 0o600))
	require.NoError(s.t, os.Rename(s.cfg.Routes+".new", s.cfg.Routes))
}

// SIGHUP after SIGHUP, with other upstreams each time: no request is lost.
func hangups(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp).start()
	_, token := s.reader()
	second := newAPI(t)
	var reloads, answered atomic.Int64
	defer command.OnHangup(context.Background(), func(ctx context.Context) { s.app.Reload(ctx); reloads.Add(1) })()

	done := make(chan struct{})
	failures := make(chan string, 8)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				request, err := http.NewRequest(http.MethodGet, "http://"+s.app.Addr().String()+"/notes", nil)
				if err == nil {
					request.Header.Set("Authorization", "Bearer "+token)
					var response *http.Response
					if response, err = s.http.Do(request); err == nil {
						_ = response.Body.Close()
						if response.StatusCode != http.StatusOK {
							err = fmt.Errorf("%d %s", response.StatusCode, response.Header.Get("X-AgentIdP-Error"))
						}
					}
				}
				if err != nil {
					failures <- err.Error()
					return
				}
				answered.Add(1)
			}
		})
	}
	files := []string{routesTo(s.api.URL), routesTo(second.URL), routesText, "routes: []", routesTo(s.api.URL, second.URL)}
	for round := range int64(25) {
		before := answered.Load()
		s.put(files[round%int64(len(files))])
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		s.waitFor("requests pass", func() bool {
			return reloads.Load() > round && answered.Load() > before+20 || len(failures) > 0
		})
	}
	close(done)
	clients.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	require.NotEmpty(t, second.seen())
}

// Files that changed are read without being told, once they are whole.
func changedFiles(t *testing.T, idp *idptest.IdP) {
	dir := policyFolder(t)
	s := newStage(t, idp, func(c *app.Config) { c.PolicyDir = dir }).start()
	_, token := s.reader()
	s.is(s.get("/more", token), 403, "no_route")
	s.put(routesText + "  - {path: /more, capability: \"notes:read\"}\n")
	s.becomes(func() reply { return s.get("/more", token) }, 200, "")

	s.put("routes: []")
	s.waitFor("the log says why", func() bool { return strings.Contains(s.logs.String(), "must be a list with at least one route") })
	s.is(s.get("/more", token), 200, "")
	s.waitFor("the metrics say so", func() bool { return strings.Contains(s.admin("/metrics").body, "sidecar_routes_reload_failing 1\n") })
	require.Contains(t, s.admin("/metrics").body, `sidecar_routes_reload_total{result="good"} 1`)

	// In this order, so that nothing in between can come into force.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz.rego"), []byte(closed), 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, "authz_test.rego")))
	s.becomes(func() reply { return s.get("/notes", token) }, 403, "closed_for_today")
	s.waitFor("it is counted", func() bool {
		return strings.Contains(s.admin("/metrics").body, `sidecar_policy_reload_total{result="good"} 1`)
	})
	require.Contains(t, s.admin("/metrics").body, `sidecar_routes_reload_total{result="failed"} 1`, "what did not change is not read again")
	require.NoError(t, os.RemoveAll(dir))
	s.waitFor("the folder is missed", func() bool { return strings.Contains(s.admin("/metrics").body, "sidecar_policy_reload_failing 1\n") })
	s.is(s.get("/notes", token), 403, "closed_for_today")
}

// Off loopback a sidecar that is told to end says so first, and serves on for a while.
func drainsLate(t *testing.T, idp *idptest.IdP) {
	const drainDelay = 6 * time.Second // in which it must be asked twice
	s := newStage(t, idp, func(c *app.Config) { c.Addr, c.DrainDelay = "0.0.0.0:0", drainDelay }).start()
	_, token := s.reader()
	get := func() reply {
		_, port, err := net.SplitHostPort(s.app.Addr().String())
		require.NoError(t, err)
		return s.send(http.MethodGet, "http://127.0.0.1:"+port+"/notes", token, "")
	}
	s.is(get(), 200, "")
	stopped := make(chan struct{})
	began := time.Now()
	go func() { s.stop(); close(stopped) }()
	s.waitFor("/ready says stopping", func() bool {
		status, body := s.ready()
		return status == 503 && body["status"] == "stopping"
	})
	t.Logf("after %s", time.Since(began))
	s.is(get(), 200, "")
	require.Equal(t, 200, s.admin("/health").status)
	<-stopped
	require.GreaterOrEqual(t, time.Since(began), drainDelay)
	require.Contains(t, s.logs.String(), "draining")
}

// A sidecar whose API is away is ready: it refuses properly, and says so.
func apiAway(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp)
	s.cfg.Upstream = fmt.Sprintf("http://127.0.0.1:%d", commandtest.FreePort(t, 10_000))
	s.start()
	_, token := s.reader()
	s.is(s.get("/notes", token), 502, "upstream_unreachable")
	s.becomes(func() reply { return s.get("/notes", token) }, 503, "upstream_unavailable")
	status, body := s.ready()
	require.Equal(t, 200, status)
	away := body["upstreams"].([]any)[0].(map[string]any)
	require.Equal(t, "default", away["upstream"])
	require.Equal(t, s.cfg.Upstream, away["url"])
	require.Equal(t, false, away["ok"])
	require.Contains(t, away["error"], "refused")
	require.Contains(t, s.admin("/metrics").body, `sidecar_upstream_up{upstream="default",url="`+s.cfg.Upstream+`"} 0`)
	s.is(s.post("/notes", token), 403, "capability_missing")
}
