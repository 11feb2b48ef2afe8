package auditlog_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
)

// deeds are events of several agents, done to others, to themselves and to nobody:
// 25 each second.
func (f *timed) deeds(seconds int) {
	f.t.Helper()
	round := []idp.Event{
		{AgentID: "admin", Action: idp.ActionAgentSuspended, Outcome: idp.Success, Metadata: map[string]any{"targetAgentId": "worker"}},
		{AgentID: "worker", Action: idp.ActionCredentialRotated, Outcome: idp.Success, Metadata: map[string]any{"targetAgentId": "worker"}},
		{AgentID: "worker", Action: idp.ActionTokenRefused, Outcome: idp.Denied, Reason: "Invalid_Scope"},
		{Action: idp.ActionCredentialExpiring, Outcome: idp.Success, Metadata: map[string]any{"targetAgentId": "worker"}},
		{AgentID: "admin", Action: idp.ActionAgentUpdated, Outcome: idp.Failure, Metadata: map[string]any{"targetAgentId": "other", "text": `"targetAgentId":"worker"`}},
	}
	for i := range round {
		round[i].OrganizationID = "acme"
	}
	for range seconds {
		require.NoError(f.t, f.log.Append(f.t.Context(), slices.Repeat(round, 5)...))
		f.second.Add(1)
	}
}

// listed is what the list gives for a filter, oldest first, as far as an export of that size goes.
func (f *timed) listed(filter auditlog.Filter, size int64) (bodies []string) {
	f.t.Helper()
	q := auditlog.Query{Filter: filter, Limit: 100}
	for {
		page, err := f.log.List(f.t.Context(), q)
		require.NoError(f.t, err)
		for _, body := range page.Data {
			var e served
			require.NoError(f.t, json.Unmarshal(body, &e))
			if e.Sequence < size {
				bodies = append(bodies, string(body))
			}
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			slices.Reverse(bodies)
			return bodies
		}
	}
}

// An export holds what the list shows under the same filter, and proves each of it.
func TestAnExportHoldsWhatTheListShows(t *testing.T) {
	f := newTimed(t)
	f.deeds(26) // more than a page of an export
	for _, row := range []struct {
		filter auditlog.Filter
		some   string // that its events hold; "": there are none
	}{
		{auditlog.Filter{TargetAgentID: "worker"}, `"targetAgentId":"worker"`},
		{auditlog.Filter{TargetAgentID: "worker", AgentID: "admin"}, `"agent.suspended"`},
		{auditlog.Filter{TargetAgentID: "worker", AgentID: "worker"}, ""},
		{auditlog.Filter{TargetAgentID: "worker", OrganizationID: "bolt"}, ""},
		{auditlog.Filter{AgentID: "worker"}, `"agentId":"worker"`},
		{auditlog.Filter{Action: idp.ActionTokenRefused}, `"token.refused"`},
		{auditlog.Filter{OrganizationID: "acme", Outcome: idp.Failure}, `"failure"`},
		{auditlog.Filter{Text: "invalid_SCOPE", From: noon.Add(7 * time.Second), To: noon.Add(20 * time.Second)}, `"Invalid_Scope"`},
	} {
		content := f.export(auditlog.ExportQuery{Format: auditlog.NDJSON, Filter: row.filter})
		report := f.hold(content)
		require.Nil(t, report.Problem, "%+v", row.filter)
		lines := eventLines(content)
		require.Equal(t, f.listed(row.filter, report.Size), lines, "%+v", row.filter)
		require.Equal(t, row.some == "", len(lines) == 0, "%+v", row.filter)
		for _, line := range lines {
			require.Contains(t, line, row.some)
		}
		require.False(t, report.Whole())

		events := f.all()
		require.Equal(t, idp.ActionAuditExported, idp.Action(events[len(events)-1].Action))
		require.Equal(t, f.listed(auditlog.Filter{TargetAgentID: "worker"}, int64(len(events))), f.listed(auditlog.Filter{TargetAgentID: "worker"}, int64(len(events)-1)), "an export is not done to the agent that it is about")
	}
	events := f.all()
	require.Equal(t, map[string]any{"format": "ndjson", "size": events[len(events)-1].Metadata["size"], "text": "invalid_SCOPE", "from": "2026-07-01T12:00:07.000Z", "to": "2026-07-01T12:00:20.000Z"}, events[len(events)-1].Metadata)
}

// The header is a promise, which each event must keep.
func TestAnEventOutsideTheFilterIsFound(t *testing.T) {
	f := newTimed(t)
	f.deeds(1)
	content := string(f.export(auditlog.ExportQuery{Format: auditlog.NDJSON, Filter: auditlog.Filter{AgentID: "admin", TargetAgentID: "worker", Action: idp.ActionAgentSuspended, Outcome: idp.Success, Text: "acme"}}))
	const header = `"agentId":"admin","targetAgentId":"worker","action":"agent.suspended","outcome":"success","q":"acme"`
	require.Contains(t, content, header)
	require.Nil(t, f.hold([]byte(content)).Problem)
	for _, change := range [][2]string{
		{`"agentId":"admin"`, `"agentId":"worker"`}, {`"targetAgentId":"worker"`, `"targetAgentId":"other"`}, {`"agent.suspended"`, `"agent.updated"`},
		{`"outcome":"success"`, `"outcome":"denied"`}, {`"q":"acme"`, `"q":"bolt"`},
	} {
		promised := strings.Replace(header, change[0], change[1], 1)
		require.NotEqual(t, header, promised)
		report := f.hold([]byte(strings.Replace(content, header, promised, 1)))
		require.NotNil(t, report.Problem, change)
		require.Equal(t, "the event does not fit the export's filter", report.Problem.What)
	}
}

// Who exports what is rare hears of the log long before its end.
func TestAnExportOfNothingIsNotSilent(t *testing.T) {
	f := newTimed(t)
	ctx := t.Context()
	event := idp.Event{OrganizationID: "acme", AgentID: "worker", Action: idp.ActionAgentUpdated, Outcome: idp.Success}
	for range 40 {
		require.NoError(t, f.log.Append(ctx, slices.Repeat([]idp.Event{event}, 250)...))
	}
	f.covered()
	export, err := f.log.Export(ctx, auditlog.ExportQuery{Format: auditlog.NDJSON, Filter: auditlog.Filter{AgentID: "nobody"}}, idp.Event{OrganizationID: "acme"})
	require.NoError(t, err)
	var content []byte
	for silent := int64(0); ; {
		before := export.Position()
		piece, err := export.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content = append(content, piece...)
		if silent += 500; len(piece) > 0 {
			silent = 0
		}
		require.Less(t, silent, int64(5000), "events read since %d without a byte", before)
	}
	require.Equal(t, export.Size(), export.Position())
	require.Zero(t, export.Events())
	require.GreaterOrEqual(t, export.Size(), int64(10_000))
	require.Nil(t, f.hold(content).Problem)
}
