package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A policy is shown what it can read. It decides as if it were shown all.
func TestWhatIsNotReadIsNotMissed(t *testing.T) {
	refs := []string{
		"input", "input.agent", "input.agent.id", "input.token", "input.token.scope", "input.token.aud", "input.token.exp", "input.token.jti", "input.request",
		"input.request.method", "input.request.host", "input.request.path", "input.request.peer", "input.request.unknown", "input.route", "input.route.id",
		"input.route.capability", "input.rpc", "input.rpc.name", "input.nothing", "input[data.member]", "input.request[data.member]", "input.token[data.member]",
	}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for i, ref := range refs {
		other := refs[(i*7+3)%len(refs)]
		rules := fmt.Sprintf(`
default decision := {"allow": false, "reason": "none"}
decision := {"allow": true, "reason": "first"} if { count(json.marshal(%s)) %% 2 == 0 }
else := {"allow": true, "reason": "second"} if { not contains(json.marshal([x | x := %s]), "7") }
else := {"allow": false, "reason": "third"} if %s != null
`, ref, other, other)
		files := authz(rules)
		files["data.yaml"] = folder("x", "member: "+pick("id", "path", "scope", "agent", "rpc"))["x"]
		part := engine(t, files)
		whole := *part
		whole.use = everything
		for range 30 {
			in := sample()
			in.Agent.ID, in.Token.JTI, in.Request.Path = pick("a", "a7"), pick("j", "j7", "jjj"), pick("/", "/7", "/notes")
			in.Request.Method, in.Request.Host, in.Request.Peer = pick("GET", "POST"), pick("h", "h7"), pick("p", "p7")
			in.Token.Scope, in.Token.ExpiresAt = []string{pick("notes:read", "a:b", "7:7")}, int64(random.IntN(100))
			if random.IntN(2) == 0 {
				in.RPC = &RPC{Protocol: "mcp", Method: pick("m", "m7"), Name: pick("n", "nn")}
			}
			got, err := part.Decide(t.Context(), in)
			require.NoError(t, err)
			want, err := whole.Decide(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s\n%+v", rules, in)
		}
	}
}

func TestKeptTermsAreBounded(t *testing.T) {
	var kept terms
	for n := range 2 * mostTerms {
		text, route := fmt.Sprint("t", n), Route{ID: fmt.Sprint("/", n), Capability: "x:y"}
		for range 2 {
			require.Equal(t, fmt.Sprintf("%q", text), kept.text(text).String())
			require.Equal(t, fmt.Sprintf(`{"capability": "x:y", "id": %q}`, route.ID), kept.route(route).String())
		}
		require.LessOrEqual(t, len(*kept.texts.terms.Load()), mostTerms)
		require.LessOrEqual(t, len(*kept.routes.terms.Load()), mostTerms)
	}
}

// What a rule says word by word is read when the policy is loaded.
func TestConstantDecisionsAreReadOnce(t *testing.T) {
	e := engine(t, authz(`
default decision := {"allow": false, "reason": "none"}
decision := {"allow": true, "reason": "public"} if input.route.capability == "public"
else := {"allow": true, "reason": "self", "obligations": {"tokens": "own"}} if input.route.capability == "own"
else := {"allow": true, "reason": input.route.id} if input.route.capability == "made"
`))
	require.Len(t, e.decided, 3)
	for capability, want := range map[string]Decision{
		"public": {Allow: true, Reason: "public"}, "own": {Allow: true, Reason: "self", Obligations: map[string]any{"tokens": "own"}},
		"made": {Allow: true, Reason: "r"}, "other": {Reason: "none"},
	} {
		d, err := e.Decide(t.Context(), Input{Route: Route{ID: "r", Capability: capability}}, "tokens")
		require.NoError(t, err)
		want.Revision = e.revision
		require.Equal(t, want, d)
	}
}
