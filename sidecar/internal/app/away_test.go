package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// wants the decisions in the audit log to be n, their sequences complete, none
// of them twice, and no gap declared.
func (s *stage) arrived(n int64) {
	s.t.Helper()
	var all []decided
	count := func() (sum int64) {
		all = s.decisions()
		for _, d := range all {
			sum += max(d.Metadata.Count, 1)
		}
		return sum
	}
	s.waitFor(fmt.Sprintf("%d decisions are in the audit log", n), func() bool { return count() >= n })
	require.Equal(s.t, n, count())
	for i, d := range all {
		require.Equal(s.t, int64(i), d.Metadata.SidecarSequence)
		require.NotEqual(s.t, "decision.gap", d.Action)
	}
}

func TestRestartWithTheIdPAway(t *testing.T) {
	s := newStage(t).start()
	suspended, dead := s.reader("suspended@example.com")
	_, token := s.reader("reader@example.com")
	s.is(s.get("/notes", token), 200, "")
	s.is(s.get("/notes", dead), 200, "")
	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+suspended.AgentID, map[string]any{"status": "suspended"}, nil)
	s.becomes(func() reply { return s.get("/open", dead) }, 200, "")
	refusals := int64(1) // of the request that becomes sees last
	s.waitFor("the suspension is known", func() bool {
		if r := s.get("/notes", dead); r.status == 401 {
			return true
		}
		refusals++
		return false
	})
	s.idp.Stop()
	for range 2 {
		s.restart()
		for range 10 {
			s.is(s.get("/notes", token), 200, "")
		}
		s.is(s.get("/notes", dead), 401, "agent_revoked")
		s.is(s.post("/notes", token), 403, "capability_missing")
	}
	status, body := s.ready()
	require.Equal(t, 200, status)
	require.NotEmpty(t, body["revocations"].(map[string]any)["error"])
	s.idp.Start()
	s.arrived(2 + 1 + refusals + 2*12)
}

func TestFirstStartWithTheIdPAway(t *testing.T) {
	s := newStage(t)
	_, token := s.reader("reader@example.com")
	s.idp.Stop()
	s.startAnyhow()
	status, body := s.ready()
	require.Equal(t, 503, status)
	require.Equal(t, "not_ready", body["status"])
	require.Equal(t, false, body["keys"].(map[string]any)["ok"])
	require.NotContains(t, body["keys"], "ageSeconds", "never known is not zero seconds old")
	require.Equal(t, false, body["revocations"].(map[string]any)["ok"])
	require.Equal(t, 200, s.admin("/health").status)
	s.is(s.get("/notes", token), 503, "keys_stale")
	s.is(s.get("/open", ""), 200, "")
	s.idp.Start()
	s.waitFor("the sidecar is ready", func() bool { status, _ := s.ready(); return status == 200 })
	s.is(s.get("/notes", token), 200, "")
}

func TestStaleRevocations(t *testing.T) {
	s := newStage(t, func(c *app.Config) { c.RevocationMaxStale = time.Second }).start()
	_, token := s.reader("reader@example.com")
	s.is(s.get("/notes", token), 200, "")
	s.idp.Stop()
	s.becomes(func() reply { return s.get("/notes", token) }, 503, "revocations_stale")
	require.NotEmpty(t, s.get("/notes", token).header.Get("Retry-After"))
	s.is(s.get("/lasting", token), 200, "")
	s.is(s.get("/open", ""), 200, "")
	status, body := s.ready()
	require.Equal(t, 503, status)
	require.Equal(t, true, body["keys"].(map[string]any)["ok"])
	s.idp.Start()
	s.becomes(func() reply { return s.get("/notes", token) }, 200, "")
}

func TestStaleKeys(t *testing.T) {
	s := newStage(t, func(c *app.Config) { c.JWKSTTL, c.JWKSMaxStale = time.Second, 2*time.Second }).start()
	_, token := s.reader("reader@example.com")
	s.is(s.get("/notes", token), 200, "")
	s.idp.Stop()
	s.becomes(func() reply { return s.get("/notes", token) }, 503, "keys_stale")
	s.is(s.get("/lasting", token), 503, "keys_stale")
	status, body := s.ready()
	require.Equal(t, 503, status)
	require.Equal(t, false, body["keys"].(map[string]any)["ok"])
	require.Equal(t, true, body["revocations"].(map[string]any)["ok"])
}

func TestFullSpoolBlocks(t *testing.T) {
	s := newStage(t, func(c *app.Config) { c.SpoolMaxBytes = 256 << 10 }).start()
	_, token := s.reader("reader@example.com")
	s.is(s.get("/notes", token), 200, "")
	s.idp.Stop()
	served := int64(1)
	s.waitFor("the spool is full", func() bool {
		for range 20 {
			r := s.get("/notes", token)
			if r.status == 503 {
				s.is(r, 503, "audit_unavailable")
				return true
			}
			s.is(r, 200, "")
			served++
		}
		return false
	})
	reached := len(s.api.seen())
	for range 20 {
		s.is(s.get("/notes", token), 503, "audit_unavailable")
	}
	require.Len(t, s.api.seen(), reached, "nothing reaches the API unrecorded")
	require.Equal(t, served, int64(reached))
	s.is(s.get("/open", ""), 200, "") // anonymous: counted, never a reason to block
	status, body := s.ready()
	require.Equal(t, 503, status)
	require.Equal(t, false, body["spool"].(map[string]any)["ok"])

	s.idp.Start()
	s.becomes(func() reply { return s.get("/notes", token) }, 200, "")
	allowed := map[string]bool{}
	s.waitFor("what was served is in the audit log", func() bool {
		n := int64(0)
		for _, d := range s.decisions() {
			require.False(t, allowed[d.Metadata.SidecarID], "one sidecar")
			if d.Action == "decision.allowed" && d.AgentID != "" {
				n++
			}
		}
		return n >= served+1
	})
}

func TestFullSpoolDropsAllowed(t *testing.T) {
	s := newStage(t, func(c *app.Config) { c.SpoolMaxBytes, c.SpoolWhenFull = 256<<10, "drop_allow" }).start()
	_, token := s.reader("reader@example.com")
	s.idp.Stop()
	served := int64(0)
	s.waitFor("decisions are dropped", func() bool {
		for range 50 {
			s.is(s.get("/notes", token), 200, "")
			served++
		}
		_, body := s.ready()
		return body["spool"].(map[string]any)["lost"].(float64) > 0
	})
	status, _ := s.ready()
	require.Equal(t, 200, status)
	s.idp.Start()
	s.waitFor("the spool is empty", func() bool {
		_, body := s.ready()
		return body["spool"].(map[string]any)["unshipped"].(float64) == 0
	})
	s.is(s.get("/notes", token), 200, "") // the gap is declared before the next decision
	s.waitFor("kept and lost decisions add up", func() bool {
		sum, gaps := int64(0), 0
		for _, d := range s.decisions() {
			sum += max(d.Metadata.Count, 1)
			if d.Action == "decision.gap" {
				gaps++
			}
		}
		return gaps > 0 && sum == served+1
	})
	require.Contains(t, s.admin("/metrics").body, "sidecar_audit_lost_total")
	require.False(t, strings.Contains(s.admin("/metrics").body, "sidecar_audit_lost_total 0\n"))
}
