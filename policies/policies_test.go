package policies_test

import (
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/util"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/policy"
)

const self = "3f2c1d4e-0000-4000-8000-000000000001"

func engine(t testing.TB, folder fs.FS) *policy.Engine {
	t.Helper()
	e, err := policy.New(t.Context(), folder, policy.Options{Timeout: time.Minute, TestTimeout: 5 * time.Minute})
	require.NoError(t, err)
	return e
}

func call(routeID, demanded, path string, scope ...string) policy.Input {
	return policy.Input{
		Agent:   policy.Agent{ID: self, OrganizationID: "3f2c1d4e-0000-4000-8000-000000000002", ClientID: "aidp_c_0123456789012345678901"},
		Token:   policy.Token{JTI: "3f2c1d4e-0000-4000-8000-000000000003", Audience: []string{"https://notes.example"}, Scope: scope, ExpiresAt: 1_900_000_000},
		Request: policy.Request{Method: "GET", Host: "notes.example", Path: path, Peer: "192.0.2.1"},
		Route:   policy.Route{ID: routeID, Capability: demanded},
	}
}

func TestLoads(t *testing.T) {
	whole, sidecar := engine(t, policies.Files), engine(t, policies.Sidecar)
	require.Greater(t, whole.Tests(), sidecar.Tests())
	require.Positive(t, sidecar.Tests())
	require.NotEqual(t, whole.Revision(), sidecar.Revision())
	require.Equal(t, policy.InputUse{Path: true, Scope: true, Identity: true}, whole.Uses())
	require.Equal(t, policy.InputUse{Scope: true}, sidecar.Uses(), "a sidecar's decisions must be cacheable by scope and route alone")
}

func TestReservedResources(t *testing.T) {
	text, err := fs.ReadFile(policies.Files, "data.yaml")
	require.NoError(t, err)
	var data struct {
		AgentIdP struct{ Reserved []string }
	}
	require.NoError(t, yaml.Unmarshal(text, &data))
	var reserved []string
	for _, c := range capability.ReservedAll() {
		reserved = append(reserved, c.Resource())
	}
	require.Equal(t, reserved, data.AgentIdP.Reserved)
}

func TestWithoutDataWildcardsCoverNothing(t *testing.T) {
	text, err := fs.ReadFile(policies.Files, "authz.rego")
	require.NoError(t, err)
	e := engine(t, fstest.MapFS{"authz.rego": {Data: text}})
	for held, allow := range map[string]bool{"*:*": false, "*:read": false, "notes:*": true, "notes:read": true} {
		d, err := e.Decide(t.Context(), call("/notes", "notes:read", "/notes", held))
		require.NoError(t, err)
		require.Equal(t, allow, d.Allow, held)
	}
}

// TestUnitTestsReachEveryRule demands that the Rego tests evaluate every expression of the policy.
func TestUnitTestsReachEveryRule(t *testing.T) {
	modules := map[string]*ast.Module{}
	names, err := fs.Glob(policies.Files, "*.rego")
	require.NoError(t, err)
	for _, name := range names {
		text, err := fs.ReadFile(policies.Files, name)
		require.NoError(t, err)
		modules[name], err = ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1})
		require.NoError(t, err)
	}
	text, err := fs.ReadFile(policies.Files, "data.yaml")
	require.NoError(t, err)
	var data map[string]any
	require.NoError(t, util.Unmarshal(text, &data))
	store := inmem.NewFromObject(data)
	txn, err := store.NewTransaction(t.Context())
	require.NoError(t, err)
	covered := cover.New()
	results, err := tester.NewRunner().SetTimeout(time.Minute).SetStore(store).SetModules(modules).SetCoverageQueryTracer(covered).RunTests(t.Context(), txn)
	require.NoError(t, err)
	for result := range results {
		require.True(t, result.Pass(), "%s.%s", result.Package, result.Name)
	}
	require.Equal(t, 100.0, covered.Report(modules).Coverage)
}

func TestOwnRights(t *testing.T) {
	whole, sidecar := engine(t, policies.Files), engine(t, policies.Sidecar)
	own := "/api/v1/agents/" + self
	for _, fact := range []struct {
		in     policy.Input
		reason string
		fields []string
		tokens bool
	}{
		{in: call("getAgent", "agents:read", own), reason: "self"},
		{in: call("updateAgent", "agents:write", own), reason: "self", fields: []string{"metadata", "version"}},
		{in: call("listCredentials", "credentials:read", own+"/credentials"), reason: "self"},
		{in: call("rotateCredential", "credentials:write", own+"/credentials/c-1/rotate"), reason: "self"},
		{in: call("introspectToken", "tokens:introspect", "/api/v1/token/introspect"), reason: "self", tokens: true},
		{in: call("revokeToken", "tokens:revoke", "/api/v1/token/revoke"), reason: "self", tokens: true},
		{in: call("introspectToken", "tokens:introspect", "/api/v1/token/introspect", "tokens:introspect"), reason: "capability"},
		{in: call("updateAgent", "agents:write", own, "agents:*"), reason: "capability"},
		{in: call("getAgentUsage", "agents:read", own+"/usage"), reason: "capability_missing"},
		{in: call("deleteAgent", "agents:write", own), reason: "capability_missing"},
		{in: call("getAgent", "agents:read", own+"2"), reason: "capability_missing"},
		{in: call("issueToken", policy.Public, "/api/v1/token"), reason: "public"},
	} {
		d, err := whole.Decide(t.Context(), fact.in, policy.ObligationFields, policy.ObligationTokens)
		require.NoError(t, err)
		require.Equal(t, fact.reason, d.Reason, "%+v", fact.in)
		require.Equal(t, fact.reason != policy.ReasonCapabilityMissing, d.Allow)
		require.Equal(t, fact.fields, d.Fields())
		require.Equal(t, fact.tokens, d.OwnTokens())

		d, err = sidecar.Decide(t.Context(), fact.in)
		require.NoError(t, err)
		require.NotEqual(t, policy.ReasonSelf, d.Reason)
		if fact.reason == policy.ReasonSelf {
			require.False(t, d.Allow, "own rights end at the management API")
		}
	}
}

// check holds the policy's answer against the matcher in Go.
func check(t *testing.T, e *policy.Engine, demanded string, scope []string) {
	t.Helper()
	want := policy.ReasonCapabilityMissing
	switch {
	case demanded == policy.Public:
		want = policy.ReasonPublic
	case slices.ContainsFunc(scope, func(held string) bool { return capability.Capability(held).Covers(capability.Capability(demanded)) }):
		want = policy.ReasonCapability
	}
	d, err := e.Decide(t.Context(), call("/notes/{id}", demanded, "/notes/7", scope...))
	require.NoError(t, err)
	require.Equal(t, policy.Decision{Allow: want != policy.ReasonCapabilityMissing, Reason: want, Revision: e.Revision()}, d, "demanded %q, scope %q", demanded, scope)
}

// sides are likely and nasty halves of a capability.
var sides = []string{"notes", "read", "write", "*", "", "agents", "tokens", "audit", "keys", "**", "*a", "a*", ":", "public", "note", "notes/x", "\x00", "ñ", "\xff", " "}

func TestMatcherAgreesWithPolicy(t *testing.T) {
	e := engine(t, policies.Sidecar)
	random := rand.New(rand.NewPCG(1, 2))
	one := func() string {
		text := sides[random.IntN(len(sides))]
		if random.IntN(8) > 0 {
			text += ":" + sides[random.IntN(len(sides))]
		}
		return text
	}
	for range 3000 {
		scope := make([]string, random.IntN(4))
		for i := range scope {
			scope[i] = one()
		}
		check(t, e, one(), scope)
	}
	for _, resource := range sides {
		for _, action := range sides {
			for _, held := range []string{"*:*", "*", "*:", ":*", ":", "", resource, resource + ":", resource + ":*", "*:" + action, "*" + action} {
				check(t, e, resource+":"+action, []string{held})
				check(t, e, resource+action, []string{held})
			}
		}
	}
}

func FuzzMatcherAgreesWithPolicy(f *testing.F) {
	for _, seed := range [][2]string{{"notes:read", "notes:* *:read"}, {"agents:read", "*:*"}, {"notes:", "notes * :"}, {"public", ""}, {"", ""}, {"\xff:a", "\xff:*"}} {
		f.Add(seed[0], seed[1])
	}
	e := engine(f, policies.Sidecar)
	f.Fuzz(func(t *testing.T, demanded, scope string) {
		check(t, e, demanded, strings.Split(scope, " "))
	})
}

func BenchmarkDecide(b *testing.B) {
	many := capability.ReservedAll().Strings()
	for _, c := range []struct {
		name   string
		in     policy.Input
		reason string
	}{
		{"same", call("/notes/{id}", "notes:read", "/notes/7", "audit:read", "notes:read"), policy.ReasonCapability},
		{"wildcard", call("/notes/{id}", "notes:read", "/notes/7", "*:*"), policy.ReasonCapability},
		{"denied", call("/notes/{id}", "notes:read", "/notes/7", many...), policy.ReasonCapabilityMissing},
		{"public", call("/notes/{id}", policy.Public, "/notes/7"), policy.ReasonPublic},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := engine(b, policies.Sidecar)
			b.ReportAllocs()
			for b.Loop() {
				if d, err := e.Decide(b.Context(), c.in); err != nil || d.Reason != c.reason {
					b.Fatal(d, err)
				}
			}
		})
	}
}
