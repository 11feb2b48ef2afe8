package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func othersDeeds(t *testing.T, b Backend) {
	named := func(sequence int64, actor, body string) store.EventRow {
		e := event(sequence)
		e.AgentID, e.Body = actor, []byte(body)
		return e
	}
	rows := []store.EventRow{
		named(0, "admin", `{"metadata":{"targetAgentId":"agent"},"sequence":0}`),
		named(1, "agent", `{"metadata":{"targetAgentId":"agent"},"sequence":1}`),
		named(2, "", `{"metadata":{"targetAgentId":"agent"},"sequence":2}`),
		named(3, "admin", `{"metadata":{"path":"\"targetAgentId\":\"agent\""},"sequence":3}`),
		named(4, "admin", `{"metadata":{"targetAgentId":""},"sequence":4}`),
		named(5, "admin", "\xff\x00"),
	}
	appendEvents(t, b.DB, rows...)
	require.Equal(t, []store.EventRow{rows[2], rows[0]}, listEvents(t, b.DB, store.EventFilter{TargetAgentID: "agent", Limit: 10}))
	require.Equal(t, []store.EventRow{rows[0]}, listEvents(t, b.DB, store.EventFilter{TargetAgentID: "agent", AgentID: "admin", Limit: 10}))
	require.Empty(t, listEvents(t, b.DB, store.EventFilter{TargetAgentID: "admin", Limit: 10}))
	require.EqualValues(t, -1, hiddenEvent(t, b.DB))
	require.NoError(t, b.Exec(t.Context(), "UPDATE event_targets SET agent_id = 'other' WHERE sequence = 2"))
	require.EqualValues(t, 2, hiddenEvent(t, b.DB))
	require.NoError(t, b.Exec(t.Context(), "DELETE FROM event_targets WHERE sequence = 0"))
	require.EqualValues(t, 0, hiddenEvent(t, b.DB))
}

func targetFilters() []store.EventFilter {
	var filters []store.EventFilter
	for _, targetID := range []string{"agent-1", "agent-19", "none"} {
		for _, organizationID := range []string{"", "b"} {
			for _, agentID := range []string{"", "agent-1", "agent-4"} {
				for _, action := range []idp.Action{"", idp.ActionTokenIssued} {
					for _, outcome := range []idp.Outcome{"", idp.Denied} {
						f := store.EventFilter{TargetAgentID: targetID, OrganizationID: organizationID, AgentID: agentID, Action: action, Outcome: outcome, Limit: 25}
						within := f
						within.From, within.To = noon.Add(100*time.Second), noon.Add(200*time.Second)
						filters = append(filters, f, within)
					}
				}
			}
		}
	}
	return filters
}
