package httpapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

func TestTopDenied(t *testing.T) {
	noon := time.Date(2026, time.July, 1, 12, 0, 0, 0, time.UTC)
	var rows []store.EventRow
	deny := func(agent, capability string, count int) {
		rows = append(rows, store.EventRow{
			AgentID: agent, Timestamp: noon.Add(-time.Duration(len(rows)) * time.Second),
			Body: fmt.Appendf(nil, `{"metadata":{"capability":%q,"count":%d}}`, capability, count),
		})
	}
	deny("a", "notes:read", 1)
	deny("b", "notes:write", 5)
	deny("", "", 2)
	deny("a", "notes:read", 4)
	w := statsWindow{from: noon.Add(-time.Hour)}
	view, err := viewTopDenied(w, rows)
	require.NoError(t, err)
	require.Equal(t, topDeniedView{
		Since: "2026-07-01T11:00:00.000Z", Complete: true, Denials: 12,
		Capabilities: []deniedCapability{{"notes:read", 5}, {"notes:write", 5}},
		Agents:       []deniedAgent{{"a", 5}, {"b", 5}},
	}, view)

	for i := range deniedLookedAt - len(rows) {
		deny(fmt.Sprint("agent", i%20), "x:y", 1)
	}
	view, err = viewTopDenied(w, rows)
	require.NoError(t, err)
	require.False(t, view.Complete)
	require.Equal(t, "2026-07-01T11:43:21.000Z", view.Since)
	require.Len(t, view.Agents, deniedShown)

	_, err = viewTopDenied(w, []store.EventRow{{Body: []byte("{")}})
	require.Error(t, err)
}
