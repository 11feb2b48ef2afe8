package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const onCall = `default decision := {"allow": false, "reason": "capability_missing"}

decision := {"allow": false, "reason": "not_on_call"} if {
	input.request.method == "DELETE"
	not on_call
}

else := {"allow": true, "reason": "capability"} if input.route.capability in input.token.scope

on_call if input.agent.id in data.oncall
`

func TestExplain(t *testing.T) {
	e := engine(t, folder("authz.rego", head+onCall, "data.yaml", "oncall: [a-7]\n"))
	in := sample()
	x := e.Explain(t.Context(), in)
	require.NoError(t, x.Err)
	require.Equal(t, "capability", x.Decision.Reason)
	require.Equal(t, e.Revision(), x.Decision.Revision)
	require.Equal(t, Step{Rule: "agentidp.authz.decision", Location: "authz.rego:5", Stopped: `input.request.method == "DELETE"  (authz.rego:6)`}, x.Steps[0])
	require.Equal(t, Step{Rule: "agentidp.authz.decision", Location: "authz.rego:10", Held: true, Value: `{"allow": true, "reason": "capability"}`}, x.Steps[1])
	for member, read := range map[string]bool{
		"token.scope": true, "token": true, "request.method": true, "request": true, "route.capability": true,
		"token.aud": false, "token.exp": false, "request.path": false, "agent": false,
	} {
		require.Equal(t, read, x.Reads(member), member)
	}

	in.Request.Method = "DELETE"
	x = e.Explain(t.Context(), in)
	require.Equal(t, "not_on_call", x.Decision.Reason)
	require.False(t, x.Reads("token"), "the scope plays no part: %v", x.Steps)
	require.True(t, x.Reads("agent.id"))
	require.Equal(t, "agentidp.authz.on_call", x.Steps[1].Rule)
	require.Equal(t, 1, x.Steps[1].Depth)
	require.False(t, x.Steps[1].Held)

	x = engine(t, authz("decision := {\"allow\": true, \"reason\": \"x\"} if 1 / input.token.exp == 1\n")).Explain(t.Context(), Input{})
	require.Error(t, x.Err)
	require.Equal(t, ReasonError, x.Decision.Reason)
}

// Whatever way a rule has of reading a member, it is noticed.
func TestReadsIsNeverTooLittle(t *testing.T) {
	for _, condition := range []string{
		`"a" in input.token.scope`, `count(input.token.scope) >= 0`, `some s in input.token.scope; s != ""`, `every s in input.token.scope { s != "" }`,
		`t := input.token; count(t.scope) >= 0`, `i := input; count(i.token.scope) >= 0`, `some k; input.token[k]`, `some k; count(input[k]) >= 0`, `f(input)`, `g`,
		`not input.token.scope`, `count([1 | input.token.scope[_]]) >= 0`, `json.marshal(input) != ""`, `walk(input, [["token", "scope"], _])`, `input.token["scope"]`,
	} {
		rules := "decision := {\"allow\": true, \"reason\": \"x\"} if {\n\t" + condition + "\n}\n\nelse := {\"allow\": false, \"reason\": \"y\"}\n"
		rules += "\nf(i) if count(i.token.scope) >= 0\n\ng if count(input.token.scope) >= 0\n"
		x := engine(t, authz(rules)).Explain(t.Context(), sample())
		require.NoError(t, x.Err, condition)
		require.True(t, x.Reads("token.scope"), condition)
	}
	x := engine(t, authz("decision := {\"allow\": true, \"reason\": input.token.jti}\n")).Explain(t.Context(), Input{Token: Token{JTI: "x"}})
	require.True(t, x.Reads("token.jti"), "what an answer is made of")
}

func TestTestResults(t *testing.T) {
	passing := "package agentidp.authz_test\n\nimport data.agentidp.authz\n\ntest_a if authz.decision.allow\n\n"
	results, err := Test(t.Context(), folder("authz.rego", head+answer(true, "x"), "a_test.rego", passing+"test_b if not authz.decision.allow\n\ntodo_test_c if false\n"), Options{TestTimeout: patient})
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.Equal(t, "data.agentidp.authz_test.test_a", results[0].Name)
	require.Equal(t, "a_test.rego:5", results[0].Location)
	require.Positive(t, results[0].Duration)
	require.Equal(t, []bool{false, true}, []bool{results[0].Failed, results[1].Failed})
	_, err = Test(t.Context(), authz("decision := "), Options{})
	require.Error(t, err)
	_, err = Test(t.Context(), authz("decision := http.send({})"), Options{})
	require.ErrorContains(t, err, "refused")
	require.Len(t, clip(strings.Repeat("é", 200)), 160+len("…"))
}
