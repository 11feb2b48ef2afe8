package auditlog

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
)

func TestAFloodIsFolded(t *testing.T) {
	f := folds{windows: map[foldKey]*fold{}}
	now := time.Unix(1_800_000_000, 0)
	refusal := func(address, reason string) idp.Event {
		return idp.Event{OrganizationID: "default", Action: idp.ActionTokenRefused, Outcome: idp.Failure, Reason: reason, Origin: idp.Origin{IPAddress: address, RequestID: "r", UserAgent: "u"}}
	}
	singles := 0
	for range 1000 {
		if f.single(refusal("192.0.2.1", "client_unknown"), now) {
			singles++
		}
	}
	require.Equal(t, 20, singles)
	require.True(t, f.single(refusal("192.0.2.1", "secret_wrong"), now), "another reason")
	require.True(t, f.single(refusal("192.0.2.2", "client_unknown"), now), "another address")
	for range 20 {
		require.True(t, f.single(refusal("2001:db8::1", "client_unknown"), now))
	}
	require.False(t, f.single(refusal("2001:db8::ffff", "client_unknown"), now), "the same /64")

	require.Empty(t, f.due(now.Add(9*time.Second)))
	summaries := f.due(now.Add(10 * time.Second))
	require.Len(t, summaries, 2)
	counts := map[string]any{}
	for _, e := range summaries {
		require.Empty(t, e.RequestID)
		counts[e.IPAddress] = e.Metadata["count"]
	}
	require.Equal(t, map[string]any{"192.0.2.1": int64(980), "2001:db8::ffff": int64(1)}, counts)
	require.Empty(t, f.all())
	require.True(t, f.single(refusal("192.0.2.1", "client_unknown"), now.Add(11*time.Second)), "a new window")
}

func TestFoldsAreBounded(t *testing.T) {
	f := folds{windows: map[foldKey]*fold{}}
	now := time.Unix(1_800_000_000, 0)
	singles := 0
	for i := range 3 * foldKeys {
		e := idp.Event{OrganizationID: "default", Action: idp.ActionTokenRefused, Reason: "client_unknown", Origin: idp.Origin{IPAddress: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}}
		if f.single(e, now) {
			singles++
		}
	}
	require.LessOrEqual(t, len(f.windows), foldKeys+1)
	require.Equal(t, foldKeys+foldSingles, singles)
	summaries := f.all()
	require.Len(t, summaries, 1)
	require.Equal(t, "many", summaries[0].Reason)
	require.EqualValues(t, 2*foldKeys-foldSingles, summaries[0].Metadata["count"])
}

func TestASummaryNamesWhoWasTried(t *testing.T) {
	f := folds{windows: map[foldKey]*fold{}}
	now := time.Unix(1_800_000_000, 0)
	try := func(client, agent string, times int) {
		for range times {
			f.single(idp.Event{OrganizationID: "default", AgentID: agent, Action: idp.ActionTokenRefused, Reason: "secret_wrong", Metadata: map[string]any{"clientId": client}}, now)
		}
	}
	try("decoy", "agent-1", foldSingles+1)
	try("victim", "agent-2", 5000)
	for i := range 20 {
		try(fmt.Sprint("bystander-", i), "agent-3", 1)
	}
	summaries := f.all()
	require.Len(t, summaries, 1)
	require.Empty(t, summaries[0].AgentID)
	clients, _ := summaries[0].Metadata["clients"].(map[string]any)
	require.EqualValues(t, 1, clients["decoy"])
	require.EqualValues(t, 5000, clients["victim"])
	require.EqualValues(t, 12, clients["others"])
	require.Len(t, clients, foldTargets+1)
}
