package syncer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// decisionEvents answers the sidecar sequences of all decisions in the IdP's audit log.
func decisionEvents(t *testing.T, p *idptest.IdP, action string) map[int64]int {
	t.Helper()
	found, cursor := map[int64]int{}, ""
	for {
		var page struct {
			Data []struct {
				Metadata struct {
					Sequence int64 `json:"sidecarSequence"`
				} `json:"metadata"`
			} `json:"data"`
			NextCursor string `json:"nextCursor"`
		}
		query := url.Values{"limit": {"100"}, "action": {action}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		p.Call(http.MethodGet, "/api/v1/audit?"+query.Encode(), nil, &page)
		for _, e := range page.Data {
			found[e.Metadata.Sequence]++
		}
		if cursor = page.NextCursor; cursor == "" {
			return found
		}
	}
}

// The real IdP: keys, revocations and decisions, with the IdP away in between
// and the sidecar restarted meanwhile.
func TestWithTheRealIdP(t *testing.T) {
	t.Parallel()
	p := idptest.Start(t)
	own := p.Register("sidecar-1@example.com", "decisions:write", "revocations:read")
	agent := p.Register("screener-1@example.com", "notes:read")
	const audience = "https://notes.example.com"
	dir := t.TempDir()
	start := func() (*Syncer, *spool.Spool, func()) {
		sp, err := spool.Open(dir+"/spool", spool.Options{})
		require.NoError(t, err)
		s, stop := run(t, Options{
			Issuer: p.URL, ClientID: own.ClientID, ClientSecret: own.ClientSecret, DataDir: dir, Name: "notes-edge-1", Version: "1.2.3", Spool: sp,
			KeysCooldown: 100 * time.Millisecond, PolicyRevision: func() string { return "rev-1" },
		})
		return s, sp, func() { stop(); require.NoError(t, sp.Close()) }
	}
	verify := func(s *Syncer, raw string) (token.Claims, error) {
		v := token.Verifier{Issuer: p.URL, Audience: audience, Keys: s.Keys(), Leeway: time.Minute}
		return v.Verify(t.Context(), raw)
	}
	s, sp, stop := start()
	eventually(t, "ready", func() bool { return s.Status().Ready() && s.Organization() != "" })
	claims, err := verify(s, p.Token(agent, audience))
	require.NoError(t, err)
	_, dead := s.Revocations().Revoked(&claims)
	require.False(t, dead)

	record(t, sp, 20)
	eventually(t, "shipped", func() bool { return sp.Status().Acked == 20 })
	require.Len(t, decisionEvents(t, p, "decision.allowed"), 20)

	suspended := time.Now()
	p.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "suspended"}, nil)
	eventually(t, "revoked", func() bool { _, dead := s.Revocations().Revoked(&claims); return dead })
	t.Logf("known after %s", time.Since(suspended))
	reason, _ := s.Revocations().Revoked(&claims)
	require.Equal(t, "agent_revoked", reason)

	p.Stop()
	record(t, sp, 30)
	stop() // with the IdP away
	s, sp, stop = start()
	require.True(t, s.Status().Ready(), "keys and revocations were kept: %+v", s.Status())
	require.NotEmpty(t, s.Organization())
	_, dead = s.Revocations().Revoked(&claims)
	require.True(t, dead, "a revocation is not forgotten")
	require.NotEmpty(t, s.Keys().Epoch())
	record(t, sp, 50)
	p.Start()
	eventually(t, "all arrived", func() bool { return sp.Status().Acked == 100 })
	events := decisionEvents(t, p, "decision.allowed")
	require.Len(t, events, 100)
	for sequence, times := range events {
		require.Equal(t, 1, times, "decision %d twice", sequence)
	}
	require.Empty(t, decisionEvents(t, p, "decision.gap"))

	var sidecars struct {
		Data []json.RawMessage `json:"data"`
	}
	p.Call(http.MethodGet, "/api/v1/sidecars", nil, &sidecars)
	require.Len(t, sidecars.Data, 1)
	require.Contains(t, string(sidecars.Data[0]), s.ID())
	require.Contains(t, string(sidecars.Data[0]), fmt.Sprintf("%q", "1.2.3"))
	require.Contains(t, string(sidecars.Data[0]), `"name":"notes-edge-1"`)
	stop()
}

// Every kind of gap passes the IdP's own check of the chain, and what it holds
// afterwards accounts for each decision.
func TestGapsWithTheRealIdP(t *testing.T) {
	t.Parallel()
	p := idptest.Start(t)
	own := p.Register("sidecar-1@example.com", "decisions:write", "revocations:read")
	dir := t.TempDir()
	sp, err := spool.Open(dir+"/spool", spool.Options{MaxBytes: spool.MinMaxBytes, Policy: spool.DropOldest})
	require.NoError(t, err)
	record(t, sp, 1)
	b, err := sp.Next(1, 1) // under way: the first segment stays, the gap is behind it
	require.NoError(t, err)
	require.Equal(t, 1, b.Records)
	record(t, sp, 2_500)
	lost := sp.Status().Lost
	require.Positive(t, lost)
	_, stop := run(t, Options{Issuer: p.URL, ClientID: own.ClientID, ClientSecret: own.ClientSecret, DataDir: dir, Spool: sp})
	eventually(t, "shipped", func() bool { return sp.Status().Acked == 2_501 })
	require.Len(t, decisionEvents(t, p, "decision.allowed"), 2_501-int(lost))
	require.Len(t, decisionEvents(t, p, "decision.gap"), 1)
	stop()
	require.NoError(t, sp.Close())
}
