package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// everything is what the interfaces of a store tell, reading by reading.
func everything(t *testing.T, db store.DB) (readings []any) {
	t.Helper()
	require.NoError(t, db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		take := func(values ...any) {
			for _, value := range values {
				if err, is := value.(error); is {
					require.NoError(t, err)
				}
			}
			readings = append(readings, values)
		}
		for number := 1; number <= 4; number++ {
			page := store.Page{Number: number, Limit: 100}
			found, total, err := tx.Organizations.List(ctx, page)
			take(found, total, err)
			for _, status := range []idp.Status{"", idp.Active, idp.Suspended, idp.Decommissioned} {
				agents, err := tx.Agents.List(ctx, store.AgentFilter{Status: status}, store.AgentOrder{}, page)
				take(agents, err)
				for _, agent := range agents.Agents {
					credentials, total, err := tx.Credentials.List(ctx, agent.ID, page)
					take(credentials, total, err)
				}
			}
			agents, err := tx.Agents.List(ctx, store.AgentFilter{Capability: "notes:read"}, store.AgentOrder{}, page)
			take(agents, err)
			for _, id := range organizations {
				sidecars, total, err := tx.Sidecars.List(ctx, id, page)
				take(sidecars, total, err)
			}
		}
		used, err := tx.Agents.TokensUsed(ctx, "agent-000", began)
		require.Equal(t, int64(1), used)
		take(used, err)
		expiring, err := tx.Credentials.Expiring(ctx, began, began.AddDate(9, 0, 0), 500)
		take(expiring, err)
		record, err := tx.Idempotency.Get(ctx, store.IdempotencyKey{AgentID: "agent-007", Path: "/api/v1/agents", Key: "k"})
		take(record, err)
		setting, err := tx.Settings.Get(ctx, "feed.epoch")
		take(setting, err)
		for _, use := range []store.KeyUse{store.UseToken, store.UseCheckpoint} {
			keys, err := tx.Keys.List(ctx, use)
			take(keys, err)
		}
		last, pruned, err := tx.Revocations.Bounds(ctx)
		require.Positive(t, pruned)
		take(last, pruned, err)
		revocations, err := tx.Revocations.Since(ctx, 0, 1000)
		take(revocations, err)
		lists, err := tx.StatusLists.Live(ctx, began)
		take(lists, err)
		readLog(ctx, t, tx, take)
		return nil
	}))
	return readings
}

func readLog(ctx context.Context, t *testing.T, tx *store.Tx, take func(values ...any)) {
	t.Helper()
	size, err := tx.Tree.Size(ctx)
	take(size, err)
	for first := int64(0); first < size; first += 1000 {
		events, err := tx.Events.Range(ctx, store.AnyOrganization, first, 1000)
		take(events, err)
	}
	for index := int64(0); index < 2*size-64; index += 1000 {
		indexes := make([]int64, 500)
		for i := range indexes {
			indexes[i] = index/2 + int64(i)
		}
		hashes, err := tx.Tree.Hashes(ctx, indexes)
		take(hashes, err)
	}
	for _, filter := range []store.EventFilter{
		{Limit: 1000}, {OrganizationID: "acme", Limit: 1000}, {Action: idp.ActionTokenRefused, Limit: 1000}, {AgentID: "agent-123", Limit: 1000}, {TargetAgentID: "agent-005", Limit: 1000},
		{From: began.AddDate(0, 0, 10), To: began.AddDate(0, 0, 20), Limit: 1000}, {OrganizationID: "über", Outcome: idp.Success, Before: 9000, Limit: 1000},
	} {
		events, err := tx.Events.List(ctx, filter)
		require.NotEmpty(t, events)
		take(events, err)
	}
	hidden, err := tx.Events.Hidden(ctx)
	require.Equal(t, int64(-1), hidden)
	take(hidden, err)
	wrong, err := tx.Stats.Miscounted(ctx)
	require.Zero(t, wrong)
	take(wrong, err)
	checkpoints, err := tx.Tree.Checkpoints(ctx, 0, 100)
	require.Len(t, checkpoints, 15)
	take(checkpoints, err)
	latest, err := tx.Tree.LatestCheckpoint(ctx)
	take(latest, err)
	segments, err := tx.Retention.Segments(ctx, 0, 100)
	require.NotEmpty(t, segments)
	take(segments, err)
	classes, err := tx.Retention.Classes(ctx, 0, size)
	take(classes, err)
	// Of the class that was pruned the target has an empty table still, and says so.
	due, err := tx.Retention.Due(ctx, store.ClassCustom, began.AddDate(1, 0, 0))
	take(due, err)
	for _, id := range []string{"", "acme"} {
		counts, err := tx.Stats.Counts(ctx, store.CountQuery{OrganizationID: id, Step: store.StepHour, From: began, To: began.AddDate(0, 6, 0)})
		require.NotEmpty(t, counts)
		take(counts, err)
		present, err := tx.Stats.Present(ctx, id, began.Add(time.Second))
		take(present, err)
	}
}
