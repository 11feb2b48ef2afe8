package auditlog

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// The checkpoint that comes with the first event of all puts no other off: it
// is not another replica's turn. One that is, does, also for a log that began later.
func TestTheFirstCheckpointIsNobodysTurn(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	db, err := sqlite.OpenMemory(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	sealer, err := issuer.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	key, err := OpenCheckpointKey(ctx, db, sealer, "idp.example.com/audit", clock)
	require.NoError(t, err)
	replica := func() *Log { return New(db, key, Options{Now: clock, Logger: slog.New(slog.DiscardHandler)}) }
	one, other := replica(), replica()
	happen := func(l *Log) {
		l.commitSummaries(ctx, []idp.Event{{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAgentUpdated, Outcome: idp.Success}})
	}
	turn := func(l *Log) (signed int64) {
		require.NoError(t, l.checkpoint(ctx, false))
		require.NoError(t, db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
			latest, err := tx.Tree.LatestCheckpoint(ctx)
			signed = latest.Size
			return err
		}))
		return signed
	}

	happen(one)
	happen(one)
	now = now.Add(one.opts.CheckpointEvery - time.Second)
	require.Equal(t, int64(2), turn(one), "the first turn of a log that began empty")

	require.NoError(t, other.trust(ctx))
	happen(one)
	now = now.Add(one.opts.CheckpointEvery)
	require.Equal(t, int64(3), turn(one))
	happen(other)
	require.Equal(t, int64(3), turn(other), "the other's is young")
	require.Equal(t, int64(4), turn(other))
}
