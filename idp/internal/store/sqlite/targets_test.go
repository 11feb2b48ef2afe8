package sqlite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func TestEventsOfBeforeGetTheirTarget(t *testing.T) {
	s := migratedFrom(t, 11, `INSERT INTO events (sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body) VALUES
		(0, 'e0', 'acme', 'admin', 'agent.suspended', 'success', 0, CAST('{"metadata":{"targetAgentId":"agent"}}' AS BLOB)),
		(1, 'e1', 'acme', 'agent', 'agent.updated', 'success', 0, CAST('{"metadata":{"targetAgentId":"agent"}}' AS BLOB)),
		(2, 'e2', 'acme', 'agent', 'token.issued', 'success', 0, CAST('{}' AS BLOB)),
		(3, 'e3', 'acme', '', 'credential.expiring', 'success', 0, CAST('{"metadata":{"targetAgentId":"agent"}}' AS BLOB))`,
		`INSERT INTO event_segments (segment, lowest, highest) VALUES (0, 0, 0)`,
		`INSERT INTO event_kinds (segment, organization_id, action, outcome) SELECT DISTINCT 0, organization_id, action, outcome FROM events`)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Events.List(ctx, store.EventFilter{TargetAgentID: "agent", Limit: 10})
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, []int64{3, 0}, []int64{rows[0].Sequence, rows[1].Sequence})
		rows, err = tx.Events.List(ctx, store.EventFilter{
			TargetAgentID: "agent", OrganizationID: "acme", AgentID: "admin", Action: idp.ActionAgentSuspended, Outcome: idp.Success, Limit: 10,
		})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		hidden, err := tx.Events.Hidden(ctx)
		require.Equal(t, int64(-1), hidden)
		return err
	}))
}

func TestTargetPlans(t *testing.T) {
	s := memory(t)
	all := statements(t)
	plan := explain(t, s, all["eventListByTarget"])
	require.Contains(t, plan, "SEARCH t USING PRIMARY KEY (target_agent_id=? AND sequence>? AND sequence<?)")
	require.Contains(t, plan, "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)")
	require.NotContains(t, plan, "USE TEMP B-TREE")
}

// Of what is pruned no target is left, and of what is kept all are.
func TestTargetsArePrunedWithTheirEvents(t *testing.T) {
	s := memory(t)
	march := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		var rows []store.EventRow
		for i := range int64(6) {
			rows = append(rows, store.EventRow{
				Sequence: i, ID: fmt.Sprint(i), OrganizationID: "acme", AgentID: "admin", Action: idp.ActionAgentSuspended, Outcome: idp.Success,
				Timestamp: march.AddDate(0, int(i/3), 0), Body: fmt.Appendf(nil, `{"metadata":{"targetAgentId":"agent-%d"}}`, i%2),
			})
		}
		if err := tx.Events.Append(ctx, rows); err != nil {
			return err
		}
		return tx.Retention.Record(ctx, []store.PrunedSegment{{Pruning: [32]byte{1}, Bitmap: store.Bitmap{0b111}}})
	}))
	done, err := s.Drop(t.Context(), store.ClassCustom, march)
	require.NoError(t, err)
	require.True(t, done)
	var left string
	require.NoError(t, s.writer.conn.QueryRowContext(t.Context(),
		"SELECT group_concat(target_agent_id || ' ' || sequence, ', ' ORDER BY sequence) FROM event_targets").Scan(&left))
	require.Equal(t, "agent-1 3, agent-0 4, agent-1 5", left)
}
