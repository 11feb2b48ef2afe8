package app_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// TestLifecycle is sidecars of one IdP, each with a life of its own.
func TestLifecycle(t *testing.T) {
	idp := idptest.Start(t)
	for name, run := range map[string]func(*testing.T, *idptest.IdP){
		"shutdown": shutdown, "shutdown cuts what does not end": shutdownCuts, "foreign issuer": foreignIssuer, "new refuses": newRefuses,
		"policy reload": policyReload, "key removed": keyRemoved, "hangups under load": hangups, "changed files": changedFiles,
		"drain delay": drainsLate, "an API that is away": apiAway,
	} {
		t.Run(name, func(t *testing.T) { run(t, idp) })
	}
	t.Run("nothing leaks", func(t *testing.T) { nothingLeaks(t, idp) }) // stops the IdP
}

// At shutdown /ready says so first, a request in flight is answered, and its
// decision is shipped before the process ends.
func shutdown(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp)
	began, finish := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(began)
		<-finish
	}))
	t.Cleanup(slow.Close)
	s.cfg.Upstream = slow.URL
	s.start()
	_, token := s.reader()
	answered := make(chan reply, 1)
	go func() { answered <- s.get("/notes", token) }()
	<-began
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	s.waitFor("/ready says stopping", func() bool {
		status, body := s.ready()
		return status == 503 && body["status"] == "stopping"
	})
	s.waitFor("the data port is closed", func() bool {
		conn, err := net.Dial("tcp", s.app.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(finish)
	s.is(<-answered, 200, "")
	<-stopped
	require.Len(t, s.decisions(), 1, "shipped before the end")
	require.Contains(t, s.logs.String(), `"unshipped":0`)
}

// A request that outlasts the drain time is cut, and recorded.
func shutdownCuts(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp, func(c *app.Config) { c.DrainTimeout = time.Second })
	began, finish := make(chan struct{}), make(chan struct{})
	endless := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(began)
		<-finish
	}))
	t.Cleanup(endless.Close)
	t.Cleanup(func() { close(finish) })
	s.cfg.Upstream = endless.URL
	s.start()
	_, token := s.reader()
	request, err := http.NewRequest(http.MethodGet, "http://"+s.app.Addr().String()+"/notes", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	served := make(chan bool, 1)
	go func() {
		answer, err := s.http.Do(request)
		served <- err == nil && answer.StatusCode == http.StatusOK
		if err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-began
	before := time.Now()
	s.stop() // which does not wait for the API
	t.Logf("stopped after %s", time.Since(before))
	require.False(t, <-served)
	arrived := s.decisions()
	require.Len(t, arrived, 1)
	require.Equal(t, "decision.error", arrived[0].Action)
}

func foreignIssuer(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp, func(c *app.Config) { c.Feed, c.ClientID, c.ClientSecret = "off", "", "" }).start()
	_, token := s.reader()
	s.is(s.get("/notes", token), 200, "")
	s.is(s.post("/notes", token), 403, "capability_missing")
	_, body := s.ready()
	require.Equal(t, "off", body["revocations"].(map[string]any)["feed"])
	s.stop()
	text := spooled(t, filepath.Join(s.cfg.DataDir, "spool"))
	require.Contains(t, text, `"outcome":"allowed"`)
	require.Contains(t, text, `"reason":"capability_missing"`)
	require.Empty(t, s.decisions())

	s.cfg.Organizations = []string{"others"}
	s.start()
	s.is(s.get("/notes", token), 403, "organization_not_allowed")
}

// spooled is everything in the spool folder, unpacked where it is packed.
func spooled(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		text.Write(content)
		if strings.HasSuffix(path, ".zst") {
			reader, err := zstd.NewReader(nil)
			require.NoError(t, err)
			defer reader.Close()
			plain, err := reader.DecodeAll(content, nil)
			require.NoError(t, err)
			text.Write(plain)
		}
		return nil
	}))
	return text.String()
}

func newRefuses(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp).start()
	for name, fact := range map[string]struct {
		change func(*app.Config)
		want   string
	}{
		"the data port is taken":  {func(c *app.Config) { c.Addr = s.app.Addr().String() }, "listen on addr"},
		"the admin port is taken": {func(c *app.Config) { c.AdminAddr = s.app.AdminAddr().String() }, "listen on admin_addr"},
		"the forward-auth port is taken": {func(c *app.Config) {
			c.ForwardAuthListen, c.TrustedProxies = s.app.Addr().String(), []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		}, "listen on forward_auth_listen"},
		"the folder is in use": {func(c *app.Config) { c.DataDir = s.cfg.DataDir }, spool.ErrLocked.Error()},
		"no routes":            {func(c *app.Config) { c.Routes = "/nowhere" }, "route file"},
		"no policy":            {func(c *app.Config) { c.PolicyDir = t.TempDir() }, "policy"},
		"no upstream":          {func(c *app.Config) { c.Upstream = "" }, "upstream"},
		"no folder":            {func(c *app.Config) { c.DataDir = s.cfg.Routes }, "spool"},
	} {
		cfg := s.cfg
		cfg.DataDir = filepath.Join(t.TempDir(), "new")
		fact.change(&cfg)
		_, err := app.New(context.Background(), cfg, app.Options{})
		require.ErrorContains(t, err, fact.want, name)
	}
}

// Secrets that were sent, and the sidecar's own, stand nowhere: not in the log,
// the spool, the metrics, /ready, profiles, or an answer.
func nothingLeaks(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp, func(c *app.Config) { c.Pprof = true }).start()
	agent, token := s.reader()
	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"version": "1.0.1"}, nil)
	base := "http://" + s.app.Addr().String()
	forged := token[:strings.LastIndex(token, ".")] + ".AAAA"
	answers := []reply{
		s.get("/notes", token), s.post("/notes", token), s.get("/nowhere", token), s.get("/notes", forged), s.get("/notes", token+"."+token),
		s.send(http.MethodGet, base+"/notes?access_token="+token, "", ""),
		s.send(http.MethodGet, base+"/notes?access_token="+token, token, ""),
		s.send(http.MethodPost, base+"/notes", "", "access_token="+token),
		s.get("//notes", token), s.get("/notes", strings.Repeat("x", 9000)),
		s.get("/notes", s.idp.Token(agent)), s.get("/notes", agent.ClientSecret),
	}
	s.idp.Stop()
	answers = append(answers, s.get("/notes", token))
	answers = append(answers, s.admin("/ready"), s.admin("/metrics"), s.admin("/debug/pprof/goroutine?debug=1"), s.admin("/health"))
	require.Contains(t, s.admin("/debug/pprof/mutex?debug=1").body, "sampling period=100")
	require.Equal(t, 401, s.send(http.MethodGet, base+"/debug/pprof/", "", "").status, "on the data port it is the API's, like every path")
	s.stop()
	places := map[string]string{"log": s.logs.String(), "data folder": spooled(t, s.cfg.DataDir)}
	for i, answer := range answers {
		places["answer "+string(rune('A'+i))] = answer.body + headerText(answer.header)
	}
	for place, text := range places {
		require.NotEmpty(t, text, place)
		for _, secret := range append(strings.Split(token, ".")[1:], strings.Split(forged, ".")[1], agent.ClientSecret, s.cfg.ClientSecret) {
			require.NotContains(t, text, secret, place)
		}
	}
	jti, _ := claimsOf(t, token)["jti"].(string)
	require.Contains(t, places["log"], jti, "a token appears as its jti")
}

func headerText(h http.Header) string {
	var text strings.Builder
	if err := h.Write(&text); err != nil {
		return err.Error()
	}
	return text.String()
}
