package app_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// demanding serves TLS to who shows a certificate of the authority, and
// remembers the last one.
func demanding(t *testing.T, a *tlstest.Authority, handler http.Handler) (server *httptest.Server, shown func() int64) {
	t.Helper()
	var mu sync.Mutex
	var last int64
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		last = r.TLS.PeerCertificates[0].SerialNumber.Int64()
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{a.Pair()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, func() int64 { mu.Lock(); defer mu.Unlock(); return last }
}

func TestTLSOnEverySide(t *testing.T) {
	idp := idptest.Start(t)
	ca := tlstest.NewAuthority(t)
	target, err := url.Parse(idp.URL)
	require.NoError(t, err)
	front, shownToIdP := demanding(t, ca, httputil.NewSingleHostReverseProxy(target))
	hold, entered := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	protected, shownToAPI := demanding(t, ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lasting" {
			close(entered)
			<-hold
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(release) // before the server's end, which waits for its requests
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	served, toAPI, toIdP := ca.Write(file("tls.crt"), file("tls.key")), ca.Write(file("api.crt"), file("api.key")), ca.Write(file("idp.crt"), file("idp.key"))
	s := newStage(t, idp, func(c *app.Config) {
		c.Upstream, c.IdPURL, c.JWKSURL = protected.URL, front.URL, front.URL+"/.well-known/jwks.json"
		c.TLSCert, c.TLSKey = file("tls.crt"), file("tls.key")
		c.UpstreamCA, c.UpstreamCert, c.UpstreamKey = ca.File, file("api.crt"), file("api.key")
		c.IdPCA, c.IdPCert, c.IdPKey = ca.File, file("idp.crt"), file("idp.key")
	}).start()
	require.Equal(t, toIdP, shownToIdP())
	_, token := s.reader()

	var presented atomic.Int64
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: ca.Pool, VerifyConnection: func(state tls.ConnectionState) error {
			presented.Store(state.PeerCertificates[0].SerialNumber.Int64())
			return nil
		},
	}}}
	get := func(path string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.app.Addr().String()+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode, string(body))
		return string(body)
	}
	require.Equal(t, "https", get("/notes"), "the API is told how the client came")
	require.Equal(t, served, presented.Load())
	require.Equal(t, toAPI, shownToAPI())

	// What is refused in plain is refused in TLS.
	conn, err := tls.Dial("tcp", s.app.Addr().String(), &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, "GET /open HTTP/1.1\nHost: a\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "line_ending")

	// Renewed certificates are taken up, on both sides, without a restart.
	served, toAPI = ca.Write(file("tls.crt"), file("tls.key")), ca.Write(file("api.crt"), file("api.key"))
	s.app.Reload(context.Background())
	held := make(chan string, 1)
	go func() { held <- get("/lasting") }()
	<-entered // and has the connection that there was
	s.waitFor("new connections have the new certificates", func() bool {
		get("/notes")
		return presented.Load() == served && shownToAPI() == toAPI
	})
	release()
	require.Equal(t, "https", <-held)
	require.Contains(t, s.admin("/metrics").body, "sidecar_tls_certificate_expires_seconds")
	require.Contains(t, s.admin("/metrics").body, "sidecar_upstream_tls_reload_failing 0\n")

	// Half a pair on the disk changes nothing.
	require.NoError(t, os.WriteFile(file("tls.key"), []byte("half"), 0o600))
	s.app.Reload(context.Background())
	get("/notes")
	require.Equal(t, served, presented.Load())
	require.Contains(t, s.admin("/metrics").body, "sidecar_tls_reload_failing 1\n")
}

// An API whose certificate comes from elsewhere is not spoken to.
func TestTLSToAStranger(t *testing.T) {
	idp := idptest.Start(t)
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("was asked") }))
	defer stranger.Close()
	s := newStage(t, idp, func(c *app.Config) { c.Upstream, c.UpstreamCA = stranger.URL, tlstest.NewAuthority(t).File }).start()
	_, token := s.reader()
	s.is(s.get("/notes", token), 502, "upstream_unreachable")
}

func TestTLSSettingsComeWhole(t *testing.T) {
	for change, problem := range map[string]string{
		"TLS_CERT=a":      "tls_cert: must be set together with tls_key",
		"UPSTREAM_KEY=a":  "upstream_cert: must be set together with upstream_key",
		"IDP_CERT=a":      "idp_cert: must be set together with idp_key",
		"UPSTREAM_CA=a":   "upstream_ca: has no use: upstream is not https",
		"IDP_CA=/no/file": "",
	} {
		cfg, problems := load(t, environment(t, change))
		require.Contains(t, problems, problem, change)
		if problem == "" {
			cfg.Addr, cfg.AdminAddr, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
			_, err := app.New(t.Context(), cfg, app.Options{})
			require.ErrorContains(t, err, "CA certificates")
		}
	}
}
