//go:build !race

package proxy_test

import (
	"crypto/rsa"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/authn"
	"github.com/sentryagent/agentidp/sidecar/internal/decide"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// A token and a decision that are remembered cost no allocation. Under the race
// detector sync.Pool drops items at random, so ristretto allocates there.
func TestTheHitPathAllocatesNothing(t *testing.T) {
	m, set := tokens(t), metrics.NewSet()
	a, err := authn.New(authn.Options{Issuer: issuer, Audience: audience, Keys: &rotating{keys: map[string]*rsa.PublicKey{m.kid: &m.key.PublicKey}}, Metrics: set})
	require.NoError(t, err)
	defer a.Close()
	holder, err := policy.NewHolder(t.Context(), policies.Sidecar, policy.Options{Timeout: time.Minute})
	require.NoError(t, err)
	d, err := decide.New(holder, decide.Options{Metrics: set})
	require.NoError(t, err)
	defer d.Close()
	revoked := &revocations{jti: map[string]bool{}}
	raw, ctx := m.good(t), t.Context()
	in := policy.Input{
		Token:   policy.Token{Audience: []string{audience}, Scope: []string{"notes:read"}, ExpiresAt: time.Now().Unix() + 600},
		Request: policy.Request{Method: "GET", Host: "api.example", Path: "/notes", Peer: "192.0.2.1"},
		Route:   policy.Route{ID: "/notes", Capability: "notes:read"},
	}
	pass := func() bool {
		identity, known := a.Recall(raw)
		if !known {
			var err error
			if identity, err = a.Verify(ctx, raw); err != nil {
				return false
			}
		}
		if _, dead := revoked.Revoked(&identity.Claims); dead {
			return false
		}
		in.Agent = policy.Agent{ID: identity.Claims.Subject, OrganizationID: identity.Claims.Organization, ClientID: identity.Claims.ClientID}
		decided, err := d.Decide(ctx, proxy.Identity(identity).Digest, in)
		return err == nil && decided.Allow
	}
	hits := func(cache string) uint64 {
		return set.GetOrCreateCounter("sidecar_" + cache + "_cache_hits_total").Get()
	}
	waitFor(t, "both are remembered", func() bool { return pass() && hits("token") > 0 && hits("decision") > 0 })
	alloctest.Zero(t, func() {
		if !pass() {
			t.Error("refused")
		}
	})
	require.Greater(t, hits("token"), uint64(1000))
	require.Greater(t, hits("decision"), uint64(1000))
}
