package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestInputIsItsJSON(t *testing.T) {
	message := sample()
	message.RPC = &RPC{Protocol: "mcp", Method: "tools/call", Name: "search"}
	for _, in := range []Input{sample(), message, {RPC: &RPC{}, Token: Token{Audience: []string{}, Scope: []string{}}}, {Token: Token{Audience: []string{}, Scope: []string{}, ExpiresAt: -1}}} {
		text, err := json.Marshal(in)
		require.NoError(t, err)
		want, err := ast.ValueFromReader(bytes.NewReader(text))
		require.NoError(t, err)
		var fresh terms
		require.Zero(t, want.Compare(fresh.input(&in, &everything)), "%s", text)
		require.Zero(t, want.Compare(fresh.input(&in, &everything)), "%s, of kept terms", text)
	}
}

func TestPolicySeesTheInput(t *testing.T) {
	for _, condition := range []string{
		`input.agent == {"id": "a-1", "organizationId": "o-1", "clientId": "c-1"}`,
		`input.token == {"jti": "j-1", "aud": ["https://notes.example"], "scope": ["notes:read"], "exp": 1900000000}`,
		`input.request == {"method": "GET", "host": "notes.example", "path": "/notes/7", "peer": "192.0.2.1"}`,
		`input.route == {"id": "/notes/{id}", "capability": "notes:read"}`,
		`object.keys(input) == {"agent", "token", "request", "route"}`,
		`data.limits.exp >= input.token.exp`,
	} {
		files := authz(lines(`decision := {"allow": true, "reason": "seen"} if `+condition, `else := {"allow": false, "reason": "unseen"}`))
		files["data.yaml"] = folder("x", "limits: {exp: 1900000000}")["x"]
		d, err := engine(t, files).Decide(t.Context(), sample())
		require.NoError(t, err)
		require.True(t, d.Allow, condition)
	}
}

func TestMalformedDecisionsDeny(t *testing.T) {
	for _, value := range []string{
		`true`, `"allow"`, `[]`, `{}`, `null`,
		`{"allow": true}`, `{"reason": "capability"}`,
		`{"allow": "true", "reason": "capability"}`, `{"allow": 1, "reason": "capability"}`, `{"allow": null, "reason": "capability"}`,
		`{"allow": true, "reason": ""}`, `{"allow": true, "reason": 7}`, `{"allow": true, "reason": "Capability"}`,
		`{"allow": true, "reason": "1st"}`, `{"allow": true, "reason": "two words"}`, `{"allow": true, "reason": "a\nb"}`,
		fmt.Sprintf(`{"allow": true, "reason": "%065d"}`, 0),
		`{"allow": true, "reason": "capability", "obligation": {"fields": ["version"]}}`,
		`{"allow": true, "reason": "capability", 7: 7}`,
		`{"allow": true, "reason": "capability", "obligations": ["fields"]}`,
		`{"allow": true, "reason": "capability", "obligations": {7: "fields"}}`,
		`{"allow": true, "reason": "capability", "obligations": {"tokens": "all"}}`,
		`{"allow": true, "reason": "capability", "obligations": {"tokens": ["own"]}}`,
		`{"allow": true, "reason": "capability", "obligations": {"fields": "version"}}`,
		`{"allow": true, "reason": "capability", "obligations": {"fields": ["version", 1]}}`,
		`{"allow": true, "reason": "capability", "obligations": {"fields": [""]}}`,
	} {
		d, err := engine(t, authz("decision := "+value)).Decide(t.Context(), sample(), ObligationFields, ObligationTokens)
		requireUnavailable(t, ReasonError, d, err)
	}
}

func TestUndefinedDecisionDenies(t *testing.T) {
	d, err := engine(t, authz(`decision := {"allow": true, "reason": "capability"} if input.agent.id == "another"`)).Decide(t.Context(), sample())
	requireUnavailable(t, ReasonError, d, err)
	require.NotEmpty(t, d.Revision)
	require.ErrorIs(t, err, errNoDecision)
}

func TestE7_ErrorInARuleDenies(t *testing.T) {
	for name, rules := range map[string]string{
		"builtin error in a condition that would deny": lines(`default deny := false`,
			`deny if time.parse_rfc3339_ns(input.request.path) > 0`,
			`decision := {"allow": true, "reason": "capability"} if not deny`),
		"conflicting values": lines(`decision := {"allow": true, "reason": "one"} if input.agent.id`,
			`decision := {"allow": false, "reason": "two"} if input.route.id`),
		"division by zero": `decision := {"allow": true, "reason": "capability"} if not 1 / (input.token.exp - 1900000000) == 2`,
	} {
		d, err := engine(t, authz(rules)).Decide(t.Context(), sample())
		require.Error(t, err, name)
		requireUnavailable(t, ReasonError, d, err)
	}
}

// runaway does quadratic work over 4 million pairs.
const runaway = `decision := {"allow": true, "reason": "capability"} if {
	upto := numbers.range(1, 2000)
	pairs := [1 | some i in upto; some j in upto; i * j == input.token.exp]
	count(pairs) >= 0
}
`

func TestRunawayPolicyIsCancelled(t *testing.T) {
	e, err := New(t.Context(), authz(runaway), Options{})
	require.NoError(t, err)
	start := time.Now()
	d, err := e.Decide(t.Context(), sample()) // undisturbed it would allow
	took := time.Since(start)
	requireUnavailable(t, ReasonTimeout, d, err)
	require.Positive(t, apierr.From(err).RetryAfter)
	require.GreaterOrEqual(t, took, 50*time.Millisecond)
}

func TestStarvedEvaluationGetsMoreTime(t *testing.T) {
	late := func(steps int, elapsed time.Duration) bool {
		s := &stop{ctx: t.Context(), timeout: time.Hour, steps: steps}
		s.watch(elapsed)
		return s.stopped
	}
	require.False(t, late(starvedSteps+1, time.Hour), "in time")
	require.False(t, late(starvedSteps, time.Hour+1), "late after few steps")
	require.True(t, late(starvedSteps+1, time.Hour+1), "late after many steps")
	require.False(t, late(1, starvedFactor*time.Hour), "late after one")
	require.True(t, late(1, starvedFactor*time.Hour+1), "far too late")
}

func TestClockIsLookedAtOften(t *testing.T) {
	s := &stop{ctx: t.Context(), start: time.Now().Add(-starvedFactor * time.Minute), timeout: time.Minute}
	require.True(t, s.Cancelled(), "at once")
	require.True(t, s.Cancelled(), "for good")

	s = &stop{ctx: t.Context(), timeout: time.Hour}
	s.watch(time.Microsecond)
	require.Equal(t, clockSteps, s.look)
	s.watch(time.Second)
	require.Equal(t, 1, s.look, "steps that take a second are looked at one by one")
	s.Cancel()
	require.True(t, s.Cancelled())
}

func TestCallerThatLeavesCancels(t *testing.T) {
	e, err := New(t.Context(), authz(runaway), Options{Timeout: patient})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	d, err := e.Decide(ctx, sample())
	requireUnavailable(t, ReasonTimeout, d, err)
}

func TestPanicDenies(t *testing.T) {
	d, err := (&Engine{timeout: time.Second}).Decide(t.Context(), sample())
	requireUnavailable(t, ReasonError, d, err)
	require.ErrorContains(t, err, "panicked")
}

func TestObligations(t *testing.T) {
	e := engine(t, authz(`decision := {"allow": true, "reason": "self", "obligations": {"fields": ["metadata"], "tokens": "own"}}`))
	d, err := e.Decide(t.Context(), sample(), ObligationFields, ObligationTokens)
	require.NoError(t, err)
	require.True(t, d.Allow)
	require.Equal(t, []string{"metadata"}, d.Fields())
	require.True(t, d.OwnTokens())

	for _, understood := range [][]string{nil, {ObligationFields}, {ObligationTokens}, {"Fields", "tokens"}} {
		d, err := e.Decide(t.Context(), sample(), understood...)
		requireUnavailable(t, ReasonError, d, err)
		require.ErrorContains(t, err, "not understood")
	}

	d, err = engine(t, authz(`decision := {"allow": true, "reason": "self", "obligations": {"mask": {"depth": [1]}}}`)).Decide(t.Context(), sample(), "mask")
	require.NoError(t, err)
	require.Contains(t, d.Obligations, "mask")
	require.Nil(t, d.Fields())
	require.False(t, d.OwnTokens())

	d, err = engine(t, authz(`decision := {"allow": false, "reason": "no", "obligations": {"mask": 1}}`)).Decide(t.Context(), sample())
	require.NoError(t, err, "obligations of a denial bind nobody")
	require.Equal(t, Decision{Reason: "no", Revision: d.Revision}, d)

	d, err = engine(t, authz(`decision := {"allow": true, "reason": "self", "obligations": {}}`)).Decide(t.Context(), sample())
	require.NoError(t, err)
	require.Equal(t, Decision{Allow: true, Reason: "self", Revision: d.Revision}, d)
}

func TestDecideConcurrently(t *testing.T) {
	e := engine(t, authz(lines(`decision := {"allow": true, "reason": "even"} if input.token.exp % 2 == 0`, `else := {"allow": false, "reason": "odd"}`)))
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range int64(100) {
				in := sample()
				in.Token.ExpiresAt = i + int64(worker)
				d, err := e.Decide(t.Context(), in)
				require.NoError(t, err)
				require.Equal(t, in.Token.ExpiresAt%2 == 0, d.Allow)
			}
		})
	}
	group.Wait()
}
