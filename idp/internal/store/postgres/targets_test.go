package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// targeted is the sample of an event that an administrator did to an agent.
func targeted(e store.EventRow) store.EventRow {
	e.AgentID, e.Body = "admin", fmt.Appendf(nil, `{"metadata":{"targetAgentId":"agent"},"sequence":%d}`, e.Sequence)
	return e
}

func TestEventsOfBeforeGetTheirTarget(t *testing.T) {
	address := pgtest.URL(t)
	require.NoError(t, migrate(t.Context(), address, until(t, "0012"), quietly))
	for _, statement := range []string{
		"SELECT event_month(1773000000000)", "SELECT event_kind('acme', 'agent.suspended', 'success')",
		`INSERT INTO events SELECT place - 1, 1773000000000, k.kind, k.verb, 'free', 'event-' || place, actor, convert_to(body, 'UTF8')
		FROM (VALUES (1, 'admin', '{"metadata":{"targetAgentId":"agent"}}'), (2, 'agent', '{"metadata":{"targetAgentId":"agent"}}'), (3, 'agent', '{}'),
			(4, '', '{"metadata":{"targetAgentId":"agent"}}')) AS e (place, actor, body), event_kinds AS k`,
	} {
		require.NoError(t, execute(t.Context(), address, statement), statement)
	}
	require.NoError(t, migrateQuietly(t.Context(), address))
	s := openURL(t, address)
	found := listed(t, s, store.EventFilter{TargetAgentID: "agent", Limit: 10})
	require.Len(t, found, 2)
	require.Equal(t, []int64{3, 0}, []int64{found[0].Sequence, found[1].Sequence})
	require.Equal(t, int64(-1), hidden(t, s))
}

// Of what is pruned no target is left, and of what is kept all are. The role
// that serves can do no more to them.
func TestTargetsArePrunedWithTheirEvents(t *testing.T) {
	owner, service := separated(t)
	s := openURL(t, service)
	appendAll(t, s, targeted(sample(0)), targeted(sample(1)), targeted(at(2, sampleMonth.AddDate(0, 1, 0))))
	require.Equal(t, 3, count(t, owner, "SELECT count(*) FROM event_targets WHERE target_agent_id = 'agent'"))
	takeAll(t, s, 1)
	require.False(t, dropped(t, s))
	require.Equal(t, 3, count(t, owner, "SELECT count(*) FROM event_targets"))
	segment := store.PrunedSegment{Pruning: [32]byte{2}, Bitmap: store.Bitmap{0b10}}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Retention.Record(ctx, []store.PrunedSegment{segment})
	}))
	require.True(t, dropped(t, s))
	require.Equal(t, 1, count(t, owner, "SELECT count(*) FROM event_targets"))
	require.Len(t, listed(t, s, store.EventFilter{TargetAgentID: "agent", Limit: 10}), 1)
	require.Equal(t, int64(-1), hidden(t, s))
}

const deedInMarch = `
INSERT INTO events (sequence, timestamp, kind, verb, retention, event_id, agent_id, body)
SELECT $1::bigint, 1773000000000, k.kind, k.verb, 'custom', 'event-' || $1::bigint, 'admin', '{"metadata":{"targetAgentId":"agent"}}'
FROM event_kind('acme', $2, 'success') AS k`

// Whose and of which kind the deeds are that replicas of the version before wrote,
// write while the migrations come, and write after them, is known.
func TestDeedsOfTheVersionBeforeHaveTheirKind(t *testing.T) {
	address := pgtest.URL(t)
	require.NoError(t, migrate(t.Context(), address, until(t, "0016"), quietly))
	require.NoError(t, execute(t.Context(), address, "SELECT event_month(1773000000000)"))
	older := connected(t, address)
	written := int64(0)
	write := func(tx pgx.Tx, action idp.Action) error {
		_, err := tx.Exec(t.Context(), deedInMarch, written, string(action))
		written++
		return err
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), older, func(tx pgx.Tx) error { return write(tx, idp.ActionAgentSuspended) }))
	meanwhile, err := older.Begin(t.Context())
	require.NoError(t, err)
	_, err = meanwhile.Exec(t.Context(), writeLock)
	require.NoError(t, err)
	require.NoError(t, write(meanwhile, idp.ActionAgentUpdated))
	migrated := make(chan error, 1)
	go func() { migrated <- migrateQuietly(t.Context(), address) }()
	watcher := connected(t, address)
	require.Eventually(t, func() bool {
		var waits bool
		err := watcher.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits)
		return err == nil && waits
	}, patience, glance)
	require.NoError(t, meanwhile.Commit(t.Context()))
	require.NoError(t, <-migrated)
	require.NoError(t, pgx.BeginFunc(t.Context(), older, func(tx pgx.Tx) error { return write(tx, idp.ActionAgentSuspended) }))

	s := openURL(t, address)
	require.Equal(t, int64(-1), hidden(t, s))
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Events.List(ctx, store.EventFilter{TargetAgentID: "agent", AgentID: "admin", Action: idp.ActionAgentSuspended, Limit: 10})
		require.NoError(t, err)
		require.Equal(t, "2 0", fmt.Sprint(rows[0].Sequence, " ", rows[1].Sequence))
		rows, err = tx.Events.List(ctx, store.EventFilter{TargetAgentID: "agent", Limit: 10})
		require.Len(t, rows, 3)
		return err
	}))
}
