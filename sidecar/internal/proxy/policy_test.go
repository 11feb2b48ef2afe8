package proxy_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
)

// The record names the policy that answered, not the one in force before.
func TestRecordsNameThePolicyThatAnswered(t *testing.T) {
	w := newWorld(t, stdUpstream(t).URL)
	for i, deny := range []error{nil, errors.New("inner")} {
		w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{Revision: "rev-2"}, deny })
		w.get("/notes", tokens(t).good(t))
		require.Equal(t, "rev-2", w.records.all()[i].PolicyRevision)
	}
}

func TestPolicyAnswers(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Unavailable(policy.ReasonTimeout, errors.New("slow"))
	})
	r := w.get("/notes", good)
	w.refuses(r, 503, "policy_timeout")
	require.NotContains(t, r.body, "slow")
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Unavailable(policy.ReasonError, errors.New("inner"))
	})
	w.refuses(w.get("/notes", good), 503, "policy_error")
	w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{}, errors.New("inner") })
	w.refuses(w.get("/notes", good), 503, "unavailable")
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Decision{Allow: true, Reason: "self", Obligations: map[string]any{"fields": []string{"x"}}}, nil
	})
	w.refuses(w.get("/notes", good), 403, "obligation_unknown")
	w.decider.set(func(policy.Input) (policy.Decision, error) { return policy.Decision{Reason: "night"}, nil })
	w.refuses(w.get("/open", ""), 403, "night")
	require.Empty(t, up.all())
}

// What the policy would refuse passes and is written down; who asks is proved all the same.
func TestShadowMode(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t)
	recorded := func(reason string) {
		t.Helper()
		r := w.get("/shadow", good)
		require.Equal(t, 200, r.StatusCode)
		require.Empty(t, r.reason())
		last := w.records.all()[len(w.records.all())-1]
		require.Equal(t, decision.Allowed, last.Outcome)
		require.Equal(t, reason, last.Reason)
		require.Equal(t, agentID, last.AgentID)
		require.Equal(t, agentID, up.all()[len(up.all())-1].Header.Get("X-Agent-Id"))
	}
	recorded("shadow_capability_missing")
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Unavailable(policy.ReasonTimeout, errors.New("slow"))
	})
	recorded("shadow_policy_timeout")
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		return policy.Decision{Allow: true, Reason: "capability"}, nil
	})
	recorded("capability")
	w.refuses(w.get("/shadow", ""), 401, "token_missing")
	w.revoked.set(func(r *revocations) { r.stale = true })
	w.refuses(w.get("/shadow", good), 503, "revocations_stale")
	require.Len(t, up.all(), 3)
}
