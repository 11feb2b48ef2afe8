package app_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// closedForSidecars is put before every rule of the built-in policy: the
// management API goes on.
const closedForSidecars = `decision := {"allow": false, "reason": "closed_for_today"} if startswith(input.route.id, "/")

else := {"allow": true, "reason": "public"} if input.route.capability == "public"
`

// idpPolicy is the IdP's policy in a folder, and what changes it.
type idpPolicy struct {
	t   *testing.T
	idp *idptest.IdP
	dir string
}

func newIdPPolicy(t *testing.T) *idpPolicy {
	t.Helper()
	p := &idpPolicy{t: t, dir: t.TempDir()}
	require.NoError(t, os.CopyFS(p.dir, policies.Files))
	for _, tests := range []string{"authz_test.rego", "own_test.rego"} { // a closed door fails them
		require.NoError(t, os.Remove(filepath.Join(p.dir, tests)))
	}
	p.idp = idptest.StartWithPolicy(t, p.dir)
	return p
}

// becomes puts a policy into force at the IdP, and answers its revision.
func (p *idpPolicy) becomes(change func(authz string) string) string {
	p.t.Helper()
	original, err := policies.Files.ReadFile("authz.rego")
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, "authz.rego"), []byte(change(string(original))), 0o600))
	p.idp.Reload()
	return p.revision()
}

func (p *idpPolicy) close() string {
	p.t.Helper()
	return p.becomes(func(authz string) string {
		const first = "decision := {\"allow\": true, \"reason\": \"public\"} if input.route.capability == \"public\"\n"
		require.Contains(p.t, authz, first)
		return strings.Replace(authz, first, closedForSidecars, 1)
	})
}

func (p *idpPolicy) open() string { return p.becomes(func(authz string) string { return authz }) }

func (p *idpPolicy) revision() string {
	p.t.Helper()
	var shown struct{ Revision string }
	p.idp.Call(http.MethodGet, "/api/v1/policies", nil, &shown)
	return shown.Revision
}

// bundled is a sidecar whose policy is the IdP's.
func (p *idpPolicy) bundled(t *testing.T, capabilities ...string) *stage {
	t.Helper()
	s := newStage(t, p.idp, func(c *app.Config) { c.PolicyBundle, c.JWKSCooldown = true, time.Second })
	agent := p.idp.Register("bundled-"+filepath.Base(s.cfg.DataDir)+"@example.com", append(capabilities, "revocations:read", "decisions:write")...)
	s.cfg.ClientID, s.cfg.ClientSecret = agent.ClientID, agent.ClientSecret
	return s
}

func (s *stage) policy() map[string]any {
	s.t.Helper()
	_, body := s.ready()
	return body["policy"].(map[string]any)
}

func TestPolicyOfTheIdP(t *testing.T) {
	p := newIdPPolicy(t)
	s := p.bundled(t, "policies:read").start()
	require.Equal(t, "bundle", s.policy()["source"])
	require.Equal(t, p.revision(), s.policy()["revision"])
	_, token := s.reader()
	s.is(s.get("/notes", token), 200, "")
	s.is(s.post("/notes", token), 403, "capability_missing")
	s.is(s.get("/notes", token), 200, "")
	s.app.Reload(context.Background()) // SIGHUP has nothing to read here
	s.is(s.get("/notes", token), 200, "")

	closed := p.close()
	t.Logf("the sidecar followed in %s", s.becomes(func() reply { return s.get("/notes", token) }, 403, "closed_for_today"))
	require.Equal(t, closed, s.policy()["revision"])
	s.waitFor("the IdP knows what decides here", func() bool {
		var listed struct {
			Data []struct{ SidecarID, Name, PolicyRevision string }
		}
		p.idp.Call(http.MethodGet, "/api/v1/sidecars", nil, &listed)
		for _, one := range listed.Data {
			if one.SidecarID == s.id {
				host, err := os.Hostname()
				return one.PolicyRevision == closed && err == nil && one.Name == host
			}
		}
		return false
	})

	// Another key signs the same policy: nothing is decided anew, and the bundle on disk is the new one.
	p.idp.Call(http.MethodPost, "/api/v1/keys/rotate", map[string]any{"emergency": true, "reason": "test"}, nil)
	before := s.admin("/metrics").body
	require.Contains(t, before, "sidecar_policy_epoch 2\n")
	s.waitFor("the bundle is signed anew", func() bool {
		return strings.Contains(s.admin("/metrics").body, `sidecar_policy_bundle_total{result="good"} 3`)
	})
	require.Contains(t, s.admin("/metrics").body, "sidecar_policy_epoch 2\n")
	_, token = s.reader()
	s.becomes(func() reply { return s.get("/notes", token) }, 403, "closed_for_today")

	// With the IdP away the last good one decides, after a restart too.
	http.DefaultClient.CloseIdleConnections()
	p.idp.Stop()
	s.is(s.get("/notes", token), 403, "closed_for_today")
	s.restart()
	require.Equal(t, closed, s.policy()["revision"])
	s.is(s.get("/notes", token), 403, "closed_for_today")

	// Without it there is none: the folder was emptied, or what lies there is not the IdP's.
	kept := filepath.Join(s.cfg.DataDir, "policy.json")
	content, err := os.ReadFile(kept)
	require.NoError(t, err)
	forged := strings.Replace(string(content), `"bundle":"`, `"bundle":"H4sI`, 1)
	for name, change := range map[string]func(){
		"none": func() { require.NoError(t, os.Remove(kept)) }, "forged": func() { require.NoError(t, os.WriteFile(kept, []byte(forged), 0o600)) },
	} {
		s.stop()
		change()
		s.startAnyhow()
		s.is(s.get("/notes", token), 503, "policy_missing")
		s.is(s.get("/open", ""), 503, "policy_missing")
		status, body := s.ready()
		require.Equal(t, 503, status, name)
		require.Equal(t, false, body["policy"].(map[string]any)["ok"], name)
		require.Equal(t, true, body["keys"].(map[string]any)["ok"], name)
	}
	p.idp.Start()
	s.becomes(func() reply { return s.get("/notes", token) }, 403, "closed_for_today")
	p.open()
	s.becomes(func() reply { return s.get("/notes", token) }, 200, "")
}

func TestPolicyThatTheSidecarMayNotRead(t *testing.T) {
	p := newIdPPolicy(t)
	s := p.bundled(t)
	s.startAnyhow()
	_, token := s.reader()
	s.waitFor("the refusal is known", func() bool { return strings.Contains(s.admin("/ready").body, "403 FORBIDDEN") })
	s.waitFor("all but the policy is known", func() bool {
		_, body := s.ready()
		return body["revocations"].(map[string]any)["ok"] == true && body["keys"].(map[string]any)["ok"] == true
	})
	s.is(s.get("/notes", token), 503, "policy_missing")
	require.Contains(t, s.admin("/metrics").body, "sidecar_policy_reload_failing 1\n")
}

func TestPolicyBundleSettings(t *testing.T) {
	_, problems := load(t, environment(t, "POLICY_BUNDLE=true", "POLICY_DIR="+t.TempDir()))
	require.Contains(t, problems, "policy_bundle: must not be set together with policy_dir")
	_, problems = load(t, environment(t, "POLICY_BUNDLE=true", "FEED=off", "CLIENT_ID=", "CLIENT_SECRET="))
	require.Contains(t, problems, "policy_bundle: has no use with feed off")
}
