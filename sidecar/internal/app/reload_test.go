package app_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

const closed = `package agentidp.authz

decision := {"allow": false, "reason": "closed_for_today"}
`

// policyFolder is the built-in policy in a folder.
func policyFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, policies.Sidecar))
	return dir
}

func policyReload(t *testing.T, idp *idptest.IdP) {
	dir := policyFolder(t)
	s := newStage(t, idp, func(c *app.Config) { c.PolicyDir = dir }).start()
	_, token := s.reader()
	for range 5 {
		s.is(s.get("/notes", token), 200, "")
	}
	_, before := s.ready()

	require.NoError(t, os.Remove(filepath.Join(dir, "authz_test.rego")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz.rego"), []byte(closed), 0o600))
	s.app.Reload(context.Background())
	s.is(s.get("/notes", token), 403, "closed_for_today")
	_, after := s.ready()
	require.NotEqual(t, before["policy"].(map[string]any)["revision"], after["policy"].(map[string]any)["revision"])

	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz.rego"), []byte("package agentidp.authz\n\ndecision := "), 0o600))
	s.app.Reload(context.Background())
	s.is(s.get("/notes", token), 403, "closed_for_today")
	status, broken := s.ready()
	require.Equal(t, 200, status, "the old policy serves on")
	require.Equal(t, after["policy"].(map[string]any)["revision"], broken["policy"].(map[string]any)["revision"])
	require.NotEmpty(t, broken["policy"].(map[string]any)["error"])
	page := s.admin("/metrics").body
	require.Contains(t, page, "sidecar_policy_reload_failing 1\n")
	// The folder is watched too, and may have been found half changed.
	require.Regexp(t, `sidecar_policy_reload_total{result="good"} [1-9]`, page)
	require.Regexp(t, `sidecar_policy_reload_total{result="failed"} [1-9]`, page)

	original, err := policies.Sidecar.ReadFile("authz.rego")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz.rego"), original, 0o600))
	s.app.Reload(context.Background())
	s.is(s.get("/notes", token), 200, "")
	require.Contains(t, s.admin("/metrics").body, "sidecar_policy_reload_failing 0\n")
}

// A policy that fails its own tests is as good as one that does not compile.
func TestPolicyThatFailsItsTests(t *testing.T) {
	dir := policyFolder(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz.rego"), []byte(closed), 0o600))
	cfg, problems := load(t, environment(t, "POLICY_DIR="+dir, "ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DATA_DIR="+t.TempDir()))
	require.Empty(t, problems)
	require.ErrorContains(t, cfg.CheckPolicy(context.Background()), "policy_dir")
	_, err := app.New(context.Background(), cfg, app.Options{})
	require.ErrorContains(t, err, "policy")
}

// keyServer serves the key set of an issuer until it is told to forget its keys.
type keyServer struct {
	*httptest.Server
	other  []byte
	forgot atomic.Bool
	asked  atomic.Int64
}

func newKeyServer(t *testing.T, issuer string) *keyServer {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	k := &keyServer{}
	k.other, err = json.Marshal(map[string]any{"keys": []token.JWK{token.PublicJWK(&private.PublicKey)}})
	require.NoError(t, err)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.asked.Add(1)
		if k.forgot.Load() {
			_, _ = w.Write(k.other)
			return
		}
		answer, err := http.Get(issuer + "/.well-known/jwks.json")
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	t.Cleanup(k.Close)
	return k
}

// A key that leaves the key set takes its tokens along, those in the cache too.
func keyRemoved(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp)
	keys := newKeyServer(t, s.idp.URL)
	s.cfg.JWKSURL, s.cfg.JWKSTTL, s.cfg.JWKSCooldown = keys.URL, time.Second, time.Second
	s.start()
	_, token := s.reader()
	for range 3 {
		s.is(s.get("/notes", token), 200, "")
	}
	keys.forgot.Store(true)
	took := s.becomes(func() reply { return s.get("/notes", token) }, 401, "unknown_key")
	t.Logf("refused after %s", took)
	keys.forgot.Store(false)
	s.becomes(func() reply { return s.get("/notes", token) }, 200, "")
}
