package policies_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/policy"
)

func TestX(t *testing.T) {
	t0 := time.Now()
	e, err := policy.New(t.Context(), policies.FS, policy.Options{})
	require.NoError(t, err)
	t.Log(time.Since(t0), e.Tests(), e.Revision(), e.Uses())
	t0 = time.Now()
	e, err = policy.New(t.Context(), policies.Sidecar, policy.Options{})
	require.NoError(t, err)
	t.Log(time.Since(t0), e.Tests(), e.Revision(), e.Uses())
}

func BenchmarkDecide(b *testing.B) {
	in := policy.Input{
		Agent:   policy.Agent{ID: "3f2c1d4e-0000-4000-8000-000000000001", OrganizationID: "3f2c1d4e-0000-4000-8000-000000000002", ClientID: "aidp_c_0123456789012345678901"},
		Token:   policy.Token{JTI: "3f2c1d4e-0000-4000-8000-000000000003", Audience: []string{"https://notes.example"}, Scope: []string{"audit:read", "notes:read"}, ExpiresAt: 1900000000},
		Request: policy.Request{Method: "GET", Host: "notes.example", Path: "/notes/7", Peer: "192.0.2.1"},
		Route:   policy.Route{ID: "/notes/{id}", Capability: "notes:read"},
	}
	e, err := policy.New(b.Context(), policies.Sidecar, policy.Options{})
	require.NoError(b, err)
	run := func(name string, in policy.Input, reason string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := e.Decide(b.Context(), in)
				if err != nil || d.Reason != reason {
					b.Fatal(d, err)
				}
			}
		})
	}
	run("exact", in, "capability")
	wild := in
	wild.Token.Scope = []string{"*:*"}
	run("wildcard", wild, "capability")
	wild.Token.Scope = []string{"notes:write"}
	run("denied", wild, "capability_missing")
	wild.Route.Capability = "public"
	run("public", wild, "public")
}
