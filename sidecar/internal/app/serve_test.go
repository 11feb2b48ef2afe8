package app_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

func TestAllowAndDeny(t *testing.T) {
	s := newStage(t).start()
	agent, token := s.reader("reader@example.com")

	s.is(s.get("/notes", token), 200, "")
	header := s.api.seen()[0]
	require.Equal(t, agent.AgentID, header.Get("X-Agent-Id"))
	require.Equal(t, "default", header.Get("X-Agent-Organization"))
	require.Equal(t, agent.ClientID, header.Get("X-Agent-Client-Id"))
	require.Equal(t, "notes:read", header.Get("X-Agent-Scope"))
	require.Empty(t, header.Get("Authorization"))

	s.is(s.get("/open", ""), 200, "")
	require.Empty(t, s.api.seen()[1].Get("X-Agent-Id"))

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
	require.Len(t, s.api.seen(), 2, "refusals reach nobody")

	var arrived []decided
	s.waitFor("the decisions are in the audit log", func() bool { arrived = s.decisions(); return len(arrived) == 11 })
	require.Equal(t, "decision.allowed", arrived[0].Action)
	require.Equal(t, "capability", arrived[0].Reason)
	require.Equal(t, agent.AgentID, arrived[0].AgentID)
	require.Equal(t, "decision.denied", arrived[2].Action)
	require.Equal(t, "capability_missing", arrived[2].Reason)
}

func TestSuspensionIsFeltWithinASecond(t *testing.T) {
	s := newStage(t).start()
	agent, token := s.reader("reader@example.com")
	for range 5 { // verified and decided from the caches by now
		s.is(s.get("/notes", token), 200, "")
	}
	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "suspended"}, nil)
	require.Less(t, s.becomes(func() reply { return s.get("/notes", token) }, 401, "agent_revoked"), time.Second)

	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "active"}, nil)
	s.is(s.get("/notes", s.idp.Token(agent, audience)), 200, "")
	s.is(s.get("/notes", token), 401, "agent_revoked")
}

// However requests and a revocation interleave, the first refusal is final: no
// late cache entry brings the token back.
func TestRevocationIsFinalUnderLoad(t *testing.T) {
	s := newStage(t).start()
	_, token := s.reader("reader@example.com")
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
	s.idp.Call(http.MethodPost, "/api/v1/revocations", map[string]any{"type": "jti", "id": claimsOf(t, token)["jti"], "reason": "test"}, nil)
	s.waitFor("the token is refused many times", func() bool { return refused.Load() > 500 })
	close(done)
	clients.Wait()
	require.Zero(t, late.Load())
	s.is(s.get("/notes", token), 401, "token_revoked")
}

func TestRevokedCredentialAndOrganization(t *testing.T) {
	s := newStage(t).start()
	agent, token := s.reader("reader@example.com")
	bystander, other := s.reader("other@example.com")
	revoke := func(kind string, id any) {
		s.idp.Call(http.MethodPost, "/api/v1/revocations", map[string]any{"type": kind, "id": id, "reason": "test"}, nil)
	}
	revoke("credential", agent.ClientID)
	s.becomes(func() reply { return s.get("/notes", token) }, 401, "credential_revoked")
	s.is(s.get("/notes", other), 200, "")
	revoke("organization", "default")
	s.becomes(func() reply { return s.get("/notes", other) }, 401, "organization_revoked")

	// The sidecar's own token died with its organization; it gets another and hears on.
	other = s.idp.Token(bystander, audience)
	s.is(s.get("/notes", other), 200, "")
}

// A leaked key is cut off like anything else. What polls at that moment hears of it.
func TestRevokedKey(t *testing.T) {
	s := newStage(t).start()
	_, token := s.reader("reader@example.com")
	s.is(s.get("/notes", token), 200, "")
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(t, err)
	var named struct{ KID string }
	require.NoError(t, json.Unmarshal(header, &named))
	s.idp.Call(http.MethodPost, "/api/v1/revocations", map[string]any{"type": "kid", "id": named.KID, "reason": "leaked"}, nil)
	require.Less(t, s.becomes(func() reply { return s.get("/notes", token) }, 401, "key_revoked"), time.Second)
}

func TestOrganizations(t *testing.T) {
	s := newStage(t).start()
	var created struct{ Credential idptest.Credential }
	s.idp.Call(http.MethodPost, "/api/v1/organizations", map[string]any{"organizationId": "stranger", "name": "Stranger", "administratorEmail": "admin@stranger.example"}, &created)
	agent := registerAs(s, created.Credential, "reader@stranger.example")
	s.is(s.get("/notes", s.idp.Token(agent, audience)), 403, "organization_not_allowed")
	require.Empty(t, s.api.seen())

	friendly := newStageAt(t, s.idp, func(c *app.Config) { c.Organizations = []string{"stranger"} }).start()
	friendly.is(friendly.get("/notes", s.idp.Token(agent, audience)), 200, "")
	_, own := s.reader("reader@example.com")
	friendly.is(friendly.get("/notes", own), 200, "")
}

// A token that one sidecar has verified and cached is nothing to another of a
// different audience or issuer.
func TestTokensNeverCross(t *testing.T) {
	s := newStage(t).start()
	elsewhere := newStageAt(t, s.idp, func(c *app.Config) { c.Audience = "https://other.example.com" }).start()
	foreign := newStage(t).start()
	agent, token := s.reader("reader@example.com")
	_, theirs := foreign.reader("reader@example.com")
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
