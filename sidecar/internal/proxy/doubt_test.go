package proxy_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// What the asker doubts is refused with its reason and recorded, however good
// the token is.
func TestAskedInDoubt(t *testing.T) {
	w := newWorld(t, "http://127.0.0.1:1")
	question := asked("/notes?secret", "Authorization: Bearer "+tokens(t).good(t))
	require.True(t, w.proxy.Ask(question).Allowed)

	question.Doubt = &guard.Refusal{Status: 400, Reason: "question_mixed"}
	v := w.proxy.Ask(question)
	require.False(t, v.Allowed)
	require.Equal(t, 400, v.Status)
	require.Equal(t, "question_mixed", v.Reason)
	require.Contains(t, string(v.Body), v.DecisionID)
	record := w.record(v.DecisionID)
	require.Equal(t, decision.Denied, record.Outcome)
	require.Equal(t, "question_mixed", record.Reason)
	require.Equal(t, []string{"GET", "/notes", "", "", "192.0.2.7"}, []string{record.Method, record.Path, record.Host, record.AgentID, record.Peer})
}

// A panic is a decision as any other: refused, recorded once, and the next
// question is answered. No token shows in the log of it.
func TestAskedInPanic(t *testing.T) {
	w := newWorld(t, "http://127.0.0.1:1")
	good := tokens(t).good(t)
	question := asked("/notes", "Authorization: Bearer "+good)
	w.decider.set(func(policy.Input) (policy.Decision, error) { panic("boom") })
	v := w.proxy.Ask(question)
	require.False(t, v.Allowed)
	require.Equal(t, 500, v.Status)
	require.Equal(t, "internal", v.Reason)
	require.Contains(t, string(v.Body), v.DecisionID)
	require.Len(t, w.records.all(), 1)
	record := w.record(v.DecisionID)
	require.Equal(t, decision.Error, record.Outcome)
	require.Equal(t, "internal", record.Reason)
	require.Contains(t, w.logs.String(), "boom")
	w.decider.set(nil)
	require.True(t, w.proxy.Ask(question).Allowed)
	require.Len(t, w.records.all(), 2)
	w.keepsSecret(t, good)
}

// The sidecar's own pages are no API's.
func TestAskedForMetadata(t *testing.T) {
	w := resourceWorld(t, "http://127.0.0.1:1")
	v := w.proxy.Ask(asked(wellKnown + "/mcp"))
	require.False(t, v.Allowed)
	require.Equal(t, 403, v.Status)
	require.Equal(t, "no_route", v.Reason)
	require.Equal(t, decision.Denied, w.record(v.DecisionID).Outcome)
	require.True(t, w.proxy.Ask(asked("/open")).Allowed)
}

// asked is a question about a GET with the field lines.
func asked(target string, lines ...string) proxy.Question {
	fields := "Host: api.example\r\n"
	for _, line := range lines {
		fields += line + "\r\n"
	}
	return proxy.Question{
		Client: netip.MustParseAddr("192.0.2.7"), Proto: "https",
		Request: guard.Request{Method: []byte("GET"), Target: []byte(target), Protocol: []byte("HTTP/1.1"), Fields: []byte(fields + "\r\n")},
	}
}
