package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// sidecar is a real one, an agent of its own at the IdP.
type sidecar struct {
	*process
	addr, admin string
	dir         string
	routes      string
}

const routesText = `
routes:
  - { methods: [GET], path: "/notes/{id}", capability: "notes:read" }
  - { methods: [GET], path: "/wait/{ms}", capability: "notes:read" }
  - { methods: [GET], path: /large, capability: "notes:read" }
  - { methods: [GET], path: /secret, capability: "secrets:read" }
`

// newSidecar prepares a sidecar between the IdP and the API; it is not running yet.
func newSidecar(t *testing.T, p *idp, api string, env ...string) *sidecar {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	s := &sidecar{addr: fmt.Sprintf("127.0.0.1:%d", port), admin: freeAddr(t), dir: filepath.Join(dir, "data"), routes: filepath.Join(dir, "routes.yaml")}
	require.NoError(t, os.WriteFile(s.routes, []byte(routesText), 0o600))
	self := p.register("sidecar", "revocations:read", "decisions:write")
	s.process = &process{commandtest.Process{
		T: t, Name: "the sidecar", Path: program(t, "sidecar/cmd/agentidp-sidecar"), ReadyAt: "http://" + s.admin + "/ready", LogPath: filepath.Join(dir, "sidecar.log"),
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
			"AGENTIDP_SIDECAR_ADDR=" + s.addr, "AGENTIDP_SIDECAR_ADMIN_ADDR=" + s.admin, "AGENTIDP_SIDECAR_DATA_DIR=" + s.dir,
			"AGENTIDP_SIDECAR_UPSTREAM=" + api, "AGENTIDP_SIDECAR_ROUTES=" + s.routes, "AGENTIDP_SIDECAR_AUDIENCE=" + audience,
			"AGENTIDP_SIDECAR_ISSUER=" + p.url, "AGENTIDP_SIDECAR_CLIENT_ID=" + self.ClientID, "AGENTIDP_SIDECAR_CLIENT_SECRET=" + self.ClientSecret,
		}, env...),
	}}
	s.Tracked()
	return s
}

// everywhere makes the sidecar listen on all addresses: on loopback nobody
// balances load, and there is no drain delay.
func (s *sidecar) everywhere() *sidecar {
	_, port, _ := bytes.Cut([]byte(s.addr), []byte(":"))
	s.Env = append(s.Env, "AGENTIDP_SIDECAR_ADDR=0.0.0.0:"+string(port))
	return s
}

// readiness is what these tests read of /ready.
type readiness struct {
	Status string
	Policy struct {
		Revision, Error string
	}
	Keys, Revocations struct {
		OK         bool
		AgeSeconds float64
		Error      string
	}
	Spool struct {
		OK               bool
		Bytes, Unshipped int64
		Lost             int64
	}
}

// look is the answer of /ready; status 0 without one.
func (s *sidecar) look() (status int, r readiness) {
	s.T.Helper()
	status, body := commandtest.Ask(s.ReadyAt)
	if status != 0 {
		require.NoError(s.T, json.Unmarshal(body, &r), string(body))
	}
	return status, r
}

// metric is the value of a series.
func (s *sidecar) metric(series string) float64 {
	s.T.Helper()
	_, body := commandtest.Ask("http://" + s.admin + "/metrics")
	for line := range bytes.Lines(body) {
		if rest, found := bytes.CutPrefix(line, []byte(series+" ")); found {
			value, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			require.NoError(s.T, err)
			return value
		}
	}
	require.Fail(s.T, "no metric "+series, string(body))
	return 0
}

// caughtUp waits until the IdP has every decision that there is by now, while
// more come, and says how long that took.
func (s *sidecar) caughtUp(limit time.Duration) time.Duration {
	s.T.Helper()
	next := s.metric("sidecar_audit_next_seq")
	return awaitFor(s.T, limit, "the IdP has what was spooled", func() bool { return s.metric("sidecar_audit_acked_seq") >= next })
}

// shipped waits until the IdP has every decision, and says how long that took.
func (s *sidecar) shipped(limit time.Duration) time.Duration {
	s.T.Helper()
	return awaitFor(s.T, limit, "the spool is empty", func() bool {
		status, r := s.look()
		return status != 0 && r.Spool.Unshipped == 0
	})
}
