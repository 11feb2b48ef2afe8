package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock, which never ends, and its pools' cleaners, which sleep once more after the last connection.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

const audience = "https://notes.example.com"

// api is a protected API that remembers the headers of each request.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	requests []http.Header
}

func newAPI(t *testing.T) *api {
	a := &api{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.Header)
		a.mu.Unlock()
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) seen() []http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// stage is a real IdP, a protected API and a sidecar between them.
type stage struct {
	t    *testing.T
	idp  *idptest.IdP
	api  *api
	cfg  app.Config
	opts app.Options
	logs *obstest.Output
	app  *app.App
	id   string // the sidecar's
	stop func() // ends the sidecar as SIGTERM does; twice is fine
	http *http.Client
}

// in is the stage in a subtest.
func (s *stage) in(t *testing.T) *stage {
	c := *s
	c.t = t
	return &c
}

// newStage is a sidecar of the IdP, as an agent of its own. It does not start yet.
func newStage(t *testing.T, idp *idptest.IdP, change ...func(*app.Config)) *stage {
	t.Helper()
	s := &stage{t: t, idp: idp, api: newAPI(t), logs: &obstest.Output{}, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}, stop: func() {}}
	t.Cleanup(s.http.CloseIdleConnections)
	sidecar := idp.Register("sidecar-"+uuid.NewString()+"@example.com", "revocations:read", "decisions:write")
	s.cfg = app.Default()
	s.cfg.Addr, s.cfg.AdminAddr, s.cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	s.cfg.Upstream, s.cfg.Issuer, s.cfg.Audience = s.api.URL, idp.URL, audience
	s.cfg.Routes = writeFile(t, "routes.yaml", routesText)
	s.cfg.ClientID, s.cfg.ClientSecret = sidecar.ClientID, sidecar.ClientSecret
	s.cfg.LogLevel = "debug"
	for _, c := range change {
		c(&s.cfg)
	}
	require.Empty(t, s.cfg.Validate())
	return s
}

// start runs the sidecar. Unless it cannot be, it is ready then.
func (s *stage) start() *stage {
	s.t.Helper()
	s.startAnyhow()
	s.waitFor("the sidecar is ready", func() bool { return s.admin("/ready").status == http.StatusOK })
	_, body := s.ready()
	s.id, _ = body["sidecarId"].(string)
	return s
}

func (s *stage) startAnyhow() {
	s.t.Helper()
	logger, err := s.cfg.Logger(s.logs)
	require.NoError(s.t, err)
	s.opts.Logger = logger
	ctx, cancel := context.WithCancel(context.Background())
	s.app, err = app.New(ctx, s.cfg, s.opts)
	require.NoError(s.t, err)
	ended := make(chan error, 1)
	running := s.app
	go func() { ended <- running.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-ended)
		s.http.CloseIdleConnections()
	})
	s.t.Cleanup(s.stop)
}

// restart ends the sidecar and starts it on the same data.
func (s *stage) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// waitFor polls a condition, which may fail the test itself, for up to a minute:
// past the longest pause between attempts at the IdP.
func (s *stage) waitFor(what string, condition func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		require.True(s.t, time.Now().Before(end), "never: %s", what)
	}
}

// shipped waits until the IdP has every decision so far, for as long as it takes more.
func (s *stage) shipped() {
	s.t.Helper()
	unshipped := func() float64 {
		_, body := s.ready()
		return body["spool"].(map[string]any)["unshipped"].(float64)
	}
	for left := unshipped(); left > 0; {
		s.waitFor("fewer decisions are left to ship", func() bool { return unshipped() < left })
		left = unshipped()
	}
}

type reply struct {
	status int
	reason string // X-AgentIdP-Error
	header http.Header
	body   string
}

func (s *stage) send(method, url, token, body string) reply {
	s.t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(s.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.http.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return reply{response.StatusCode, response.Header.Get("X-AgentIdP-Error"), response.Header, string(content)}
}

func (s *stage) get(path, token string) reply {
	s.t.Helper()
	return s.send(http.MethodGet, "http://"+s.app.Addr().String()+path, token, "")
}

func (s *stage) post(path, token string) reply {
	s.t.Helper()
	return s.send(http.MethodPost, "http://"+s.app.Addr().String()+path, token, `{"text":"hello"}`)
}

func (s *stage) admin(path string) reply {
	s.t.Helper()
	return s.send(http.MethodGet, "http://"+s.app.AdminAddr().String()+path, "", "")
}

// is asserts status and reason; "" is the API's own answer.
func (s *stage) is(r reply, status int, reason string) {
	s.t.Helper()
	require.Equal(s.t, status, r.status, r.body)
	require.Equal(s.t, reason, r.reason, r.body)
}

// becomes waits until a request is answered so, and answers how long it took.
func (s *stage) becomes(ask func() reply, status int, reason string) time.Duration {
	s.t.Helper()
	began := time.Now()
	s.waitFor(reason, func() bool { r := ask(); return r.status == status && r.reason == reason })
	return time.Since(began)
}

// reader registers an agent that may read notes, and gives it a token.
func (s *stage) reader() (idptest.Credential, string) {
	s.t.Helper()
	agent := s.idp.Register(uuid.NewString()+"@example.com", "notes:read")
	return agent, s.idp.Token(agent, audience)
}

// ready reads the body of /ready.
func (s *stage) ready() (status int, body map[string]any) {
	s.t.Helper()
	answer := s.admin("/ready")
	require.NoError(s.t, json.Unmarshal([]byte(answer.body), &body), answer.body)
	return answer.status, body
}

// decided is one decision event of the IdP's audit log.
type decided struct {
	Action   string
	Reason   string
	AgentID  string
	Metadata struct {
		SidecarID       string
		SidecarSequence int64
		Count           int64
	}
}

// decisions reads the decision events of this sidecar, oldest first.
func (s *stage) decisions() []decided {
	s.t.Helper()
	var all []decided
	for cursor := ""; ; {
		var page struct {
			Data       []decided
			NextCursor string
		}
		s.idp.Call(http.MethodGet, "/api/v1/audit?limit=100"+cursor, nil, &page)
		for _, e := range page.Data {
			if strings.HasPrefix(e.Action, "decision.") && e.Metadata.SidecarID == s.id {
				all = append(all, e)
			}
		}
		if page.NextCursor == "" {
			slices.Reverse(all)
			return all
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

// claimsOf reads a token's payload.
func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims
}

// registerAs registers an agent that may read notes as somebody else's administrator.
func registerAs(s *stage, administrator idptest.Credential, email string) idptest.Credential {
	s.t.Helper()
	var c idptest.Credential
	call := func(path string, body any) {
		status, answer := s.idp.CallAs(administrator, http.MethodPost, path, body)
		require.Equal(s.t, 2, status/100, string(answer))
		require.NoError(s.t, json.Unmarshal(answer, &c))
	}
	call("/api/v1/agents", map[string]any{
		"email": email, "agentType": "custom", "version": "1.0.0", "owner": "test", "deploymentEnv": "development", "capabilities": []string{"notes:read"},
	})
	call("/api/v1/agents/"+c.AgentID+"/credentials", map[string]any{})
	return c
}
