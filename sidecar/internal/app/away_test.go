package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// TestAway is sidecars of an IdP that comes and goes.
func TestAway(t *testing.T) {
	idp := idptest.Start(t)
	for name, run := range map[string]func(*testing.T, *idptest.IdP){
		"restart": restartAway, "first start": firstStartAway, "stale": stale, "full spool blocks": fullSpoolBlocks, "full spool drops allowed": fullSpoolDropsAllowed,
	} {
		t.Run(name, func(t *testing.T) { run(t, idp) })
	}
}

// arrived wants the decisions in the audit log to be n, their sequences complete, none
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

func restartAway(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp).start()
	suspended, dead := s.reader()
	_, token := s.reader()
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
	s.waitFor("/ready names the trouble and stays ready", func() bool {
		status, body := s.ready()
		require.Equal(t, 200, status)
		trouble, _ := body["revocations"].(map[string]any)["error"].(string)
		return trouble != ""
	})
	s.idp.Start()
	s.arrived(2 + 1 + refusals + 2*12)
}

func firstStartAway(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp)
	_, token := s.reader()
	s.idp.Stop()
	s.startAnyhow()
	status, body := s.ready()
	require.Equal(t, 503, status)
	require.Equal(t, "not_ready", body["status"])
	require.Equal(t, false, body["keys"].(map[string]any)["ok"])
	require.NotContains(t, body["keys"], "ageSeconds", "never known is not zero seconds old")
	require.Equal(t, false, body["revocations"].(map[string]any)["ok"])
	require.Equal(t, 200, s.admin("/health").status)
	require.Equal(t, 404, s.admin("/debug/pprof/").status, "off by default")
	s.is(s.get("/notes", token), 503, "keys_stale")
	s.is(s.get("/open", ""), 200, "")
	s.idp.Start()
	s.waitFor("the sidecar is ready", func() bool { status, _ := s.ready(); return status == 200 })
	s.is(s.get("/notes", token), 200, "")
}

func stale(t *testing.T, idp *idptest.IdP) {
	var ahead atomic.Int64 // of the clock
	s := newStage(t, idp)
	s.opts.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s.start()
	_, token := s.reader()
	s.is(s.get("/notes", token), 200, "")
	s.idp.Stop()
	ahead.Store(int64(14 * time.Minute))
	s.is(s.get("/notes", token), 200, "")
	ahead.Store(int64(16 * time.Minute))
	r := s.get("/notes", token)
	s.is(r, 503, "revocations_stale")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	s.is(s.get("/lasting", token), 200, "")
	s.is(s.get("/open", ""), 200, "")
	status, body := s.ready()
	require.Equal(t, 503, status)
	require.Equal(t, true, body["keys"].(map[string]any)["ok"])
	require.Equal(t, false, body["revocations"].(map[string]any)["ok"])

	s.idp.Start()
	s.becomes(func() reply { return s.get("/notes", token) }, 200, "")
	s.idp.Stop()
	ahead.Store(int64(25 * time.Hour))
	s.is(s.get("/notes", token), 503, "keys_stale")
	s.is(s.get("/lasting", token), 503, "keys_stale")
	_, body = s.ready()
	require.Equal(t, false, body["keys"].(map[string]any)["ok"])
	s.idp.Start()
}

func fullSpoolBlocks(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp, func(c *app.Config) { c.SpoolMaxBytes = 256 << 10 }).start()
	_, token := s.reader()
	s.idp.Stop()
	// Full segments are packed meanwhile, which makes room now and then: what
	// counts is that each request is served and recorded, or neither.
	served, blocked := 0, 0
	ask := func() {
		r := s.get("/notes", token)
		if r.status == 503 {
			s.is(r, 503, "audit_unavailable")
			blocked++
			return
		}
		s.is(r, 200, "")
		served++
		require.Less(t, served, 20_000, "the spool is never full")
	}
	for blocked <= 200 {
		ask()
	}
	s.waitFor("/ready says so", func() bool {
		ask() // else the room that there is now and then would stay
		status, body := s.ready()
		return status == 503 && body["spool"].(map[string]any)["ok"] == false
	})
	require.Len(t, s.api.seen(), served, "nothing reaches the API unrecorded")
	s.is(s.get("/open", ""), 200, "") // anonymous: counted, never a reason to block

	s.idp.Start()
	s.becomes(func() reply { return s.get("/notes", token) }, 200, "")
	s.shipped()
	s.waitFor("what was served is in the audit log, once", func() bool {
		sequences, allowed := map[int64]bool{}, 0
		for _, d := range s.decisions() {
			require.False(t, sequences[d.Metadata.SidecarSequence])
			sequences[d.Metadata.SidecarSequence] = true
			if d.Action == "decision.allowed" && d.AgentID != "" {
				allowed++
			}
		}
		return allowed == served+1
	})
}

func fullSpoolDropsAllowed(t *testing.T, idp *idptest.IdP) {
	s := newStage(t, idp, func(c *app.Config) { c.SpoolMaxBytes, c.SpoolWhenFull = 256<<10, "drop_allow" }).start()
	_, token := s.reader()
	s.idp.Stop()
	served := int64(0)
	for lost := 0.0; lost == 0; {
		for range 50 {
			s.is(s.get("/notes", token), 200, "")
			served++
		}
		_, body := s.ready()
		lost = body["spool"].(map[string]any)["lost"].(float64)
		require.Less(t, served, int64(20_000), "decisions are never dropped")
	}
	status, _ := s.ready()
	require.Equal(t, 200, status)
	s.idp.Start()
	s.shipped()
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
