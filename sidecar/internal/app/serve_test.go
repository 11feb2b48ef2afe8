package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// TestServing is one sidecar over its life with the IdP at hand. The order
// matters where a step counts decisions or ends agents for good.
func TestServing(t *testing.T) {
	s := newStage(t, idptest.Start(t), func(c *app.Config) { c.JWKSCooldown = time.Second }).start()
	for _, step := range []struct {
		name string
		run  func(*stage)
	}{
		{"allows and denies", allowAndDeny},
		{"suspension is felt within a second", suspension},
		{"revocation is final under load", revocationUnderLoad},
		{"organizations", organizations},
		{"tokens never cross", tokensNeverCross},
		{"routes reload", routesReload},
		{"every metric is documented", everyMetric},
		{"credential and organization revoked", credentialAndOrganizationRevoked},
		{"key revoked", keyRevoked},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(s.in(t)) })
	}
}

func allowAndDeny(s *stage) {
	agent, token := s.reader()
	s.is(s.get("/notes", token), 200, "")
	header := s.api.seen()[0]
	require.Equal(s.t, agent.AgentID, header.Get("X-Agent-Id"))
	require.Equal(s.t, "default", header.Get("X-Agent-Organization"))
	require.Equal(s.t, agent.ClientID, header.Get("X-Agent-Client-Id"))
	require.Equal(s.t, "notes:read", header.Get("X-Agent-Scope"))
	require.Empty(s.t, header.Get("Authorization"))

	s.is(s.get("/open", ""), 200, "")
	require.Empty(s.t, s.api.seen()[1].Get("X-Agent-Id"))

	for _, fact := range []struct {
		ask    func() reply
		status int
		reason string
	}{
		{func() reply { return s.post("/notes", token) }, 403, "capability_missing"},
		{func() reply { return s.get("/notes", "") }, 401, "token_missing"},
		{func() reply { return s.get("/notes", token+"x") }, 401, "malformed"},
		{func() reply { return s.get("/nowhere", token) }, 403, "no_route"},
		{func() reply { return s.get("/nowhere", "") }, 401, "token_missing"},
		{func() reply { return s.get("//notes", token) }, 400, "path_empty_segment"},
		// What the admin port serves are ordinary paths here.
		{func() reply { return s.get("/metrics", "") }, 401, "token_missing"},
		{func() reply { return s.get("/ready", "") }, 401, "token_missing"},
		{func() reply { return s.get("/health", token) }, 403, "no_route"},
	} {
		s.is(fact.ask(), fact.status, fact.reason)
	}
	require.Len(s.t, s.api.seen(), 2, "refusals reach nobody")

	var arrived []decided
	s.waitFor("the decisions are in the audit log", func() bool { arrived = s.decisions(); return len(arrived) == 11 })
	require.Equal(s.t, "decision.allowed", arrived[0].Action)
	require.Equal(s.t, "capability", arrived[0].Reason)
	require.Equal(s.t, agent.AgentID, arrived[0].AgentID)
	require.Equal(s.t, "decision.denied", arrived[2].Action)
	require.Equal(s.t, "capability_missing", arrived[2].Reason)
}

func suspension(s *stage) {
	agent, token := s.reader()
	for range 5 { // verified and decided from the caches by now
		s.is(s.get("/notes", token), 200, "")
	}
	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "suspended"}, nil)
	s.t.Logf("refused after %s", s.becomes(func() reply { return s.get("/notes", token) }, 401, "agent_revoked"))

	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "active"}, nil)
	s.is(s.get("/notes", s.idp.Token(agent, audience)), 200, "")
	s.is(s.get("/notes", token), 401, "agent_revoked")
}

// revoke cuts something off at the IdP.
func (s *stage) revoke(kind string, id any) {
	s.t.Helper()
	s.idp.Call(http.MethodPost, "/api/v1/revocations", map[string]any{"type": kind, "id": id, "reason": "test"}, nil)
}

// However requests and a revocation interleave, the first refusal is final: no
// late cache entry brings the token back.
func revocationUnderLoad(s *stage) {
	_, token := s.reader()
	s.is(s.get("/notes", token), 200, "")
	var refused, late atomic.Int64
	var clients sync.WaitGroup
	done := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				before := refused.Load() > 0
				switch s.get("/notes", token).status {
				case 401:
					refused.Add(1)
				case 200:
					if before {
						late.Add(1)
					}
				}
			}
		})
	}
	s.revoke("jti", claimsOf(s.t, token)["jti"])
	s.waitFor("the token is refused many times", func() bool { return refused.Load() > 500 })
	close(done)
	clients.Wait()
	require.Zero(s.t, late.Load())
	s.is(s.get("/notes", token), 401, "token_revoked")
}

func organizations(s *stage) {
	var created struct{ Credential idptest.Credential }
	s.idp.Call(http.MethodPost, "/api/v1/organizations", map[string]any{"organizationId": "stranger", "name": "Stranger", "administratorEmail": "admin@stranger.example"}, &created)
	agent := registerAs(s, created.Credential, "reader@stranger.example")
	before := len(s.api.seen())
	s.is(s.get("/notes", s.idp.Token(agent, audience)), 403, "organization_not_allowed")
	require.Len(s.t, s.api.seen(), before)

	friendly := newStage(s.t, s.idp, func(c *app.Config) { c.Organizations = []string{"stranger"} }).start()
	friendly.is(friendly.get("/notes", s.idp.Token(agent, audience)), 200, "")
	_, own := s.reader()
	friendly.is(friendly.get("/notes", own), 200, "")
}

// A token that one sidecar has verified and cached is nothing to another of a
// different audience or issuer.
func tokensNeverCross(s *stage) {
	elsewhere := newStage(s.t, s.idp, func(c *app.Config) { c.Audience = "https://other.example.com" }).start()
	foreign := newStage(s.t, idptest.Start(s.t)).start()
	agent, token := s.reader()
	_, theirs := foreign.reader()
	both := s.idp.Token(agent, audience, "https://other.example.com")
	for range 3 {
		s.is(s.get("/notes", token), 200, "")
		elsewhere.is(elsewhere.get("/notes", token), 401, "audience_mismatch")
		foreign.is(foreign.get("/notes", token), 401, "unknown_key")
		foreign.is(foreign.get("/notes", theirs), 200, "")
		s.is(s.get("/notes", theirs), 401, "unknown_key")
		s.is(s.get("/notes", both), 200, "")
		elsewhere.is(elsewhere.get("/notes", both), 200, "")
		s.is(s.get("/notes", s.idp.Token(agent)), 401, "audience_mismatch")
	}
}

func routesReload(s *stage) {
	_, token := s.reader()
	s.is(s.get("/more", token), 403, "no_route")
	require.NoError(s.t, os.WriteFile(s.cfg.Routes, []byte(routesText+"  - {path: /more, capability: \"notes:read\"}\n"), 0o600))
	s.app.Reload(context.Background())
	s.is(s.get("/more", token), 200, "")
	require.NoError(s.t, os.WriteFile(s.cfg.Routes, []byte("routes: []"), 0o600))
	s.app.Reload(context.Background())
	s.is(s.get("/more", token), 200, "")
	status, body := s.ready()
	require.Equal(s.t, 200, status)
	require.NotEmpty(s.t, body["routes"].(map[string]any)["error"])
	require.Contains(s.t, s.admin("/metrics").body, "sidecar_routes_reload_failing 1\n")
}

func everyMetric(s *stage) {
	idp := s.send(http.MethodGet, s.idp.URL+"/metrics", "", "")
	require.Equal(s.t, 200, idp.status)
	require.Equal(s.t, exposed(idp.body+s.admin("/metrics").body), documented(s.t), "docs/operations.md lists them")
}

func credentialAndOrganizationRevoked(s *stage) {
	agent, token := s.reader()
	_, other := s.reader()
	s.revoke("credential", agent.ClientID)
	s.becomes(func() reply { return s.get("/notes", token) }, 401, "credential_revoked")
	s.is(s.get("/notes", other), 200, "")
	s.revoke("organization", "default")
	s.becomes(func() reply { return s.get("/notes", other) }, 401, "organization_revoked")

	// The sidecar's own token died with its organization; it gets another and hears on.
	_, fresh := s.reader()
	s.is(s.get("/notes", fresh), 200, "")
	s.revoke("jti", claimsOf(s.t, fresh)["jti"])
	s.becomes(func() reply { return s.get("/notes", fresh) }, 401, "token_revoked")
}

// A leaked key is cut off like anything else, the sidecars' own tokens with it.
// The IdP signs with another one at once.
func keyRevoked(s *stage) {
	agent, token := s.reader()
	s.is(s.get("/notes", token), 200, "")
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(s.t, err)
	var named struct{ KID string }
	require.NoError(s.t, json.Unmarshal(header, &named))
	s.revoke("kid", named.KID)
	s.t.Logf("refused after %s", s.becomes(func() reply { return s.get("/notes", token) }, 401, "key_revoked"))
	fresh := s.idp.Token(agent, audience)
	s.becomes(func() reply { return s.get("/notes", fresh) }, 200, "")
	s.is(s.get("/notes", token), 401, "unknown_key") // it left the key set meanwhile
	s.revoke("agent", agent.AgentID)
	s.becomes(func() reply { return s.get("/notes", fresh) }, 401, "agent_revoked")
}
