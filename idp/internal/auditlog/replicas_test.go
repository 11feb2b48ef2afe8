package auditlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

func (f *fixture) checkpoints() []store.Checkpoint {
	f.t.Helper()
	var found []store.Checkpoint
	require.NoError(f.t, f.db.View(f.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		found, err = tx.Tree.Checkpoints(ctx, 0, 10_000)
		return err
	}))
	return found
}

func TestLogsOnOneStoreShareOneTree(t *testing.T) {
	f := newFixture(t)
	other, stop := f.run(f.db)
	var callers sync.WaitGroup
	for i := range 8 {
		log := f.log
		if i%2 == 1 {
			log = other
		}
		callers.Go(func() {
			for n := range 25 {
				if err := log.Append(t.Context(), event(fmt.Sprintf("caller-%d-%d", i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	require.NoError(t, stop())
	events := f.all()
	require.Len(t, events, 200)
	for i, e := range events {
		require.Equal(t, int64(i), e.Sequence)
	}
	require.Nil(t, f.verify().Problem)
	eventually(t, "a checkpoint covers all", func() bool {
		found := f.checkpoints()
		return found[len(found)-1].Size == 200
	})
}

func TestAReplicaTakesTheCheckpointOfAnother(t *testing.T) {
	f := newFixture(t)
	f.append(3)
	eventually(t, "the first log signs", func() bool {
		found := f.checkpoints()
		return len(found) > 0 && found[len(found)-1].Size == 3
	})
	signed := len(f.checkpoints())
	for range 3 {
		_, stop := f.run(f.db)
		require.NoError(t, stop(), "its last turn finds everything signed")
	}
	require.Len(t, f.checkpoints(), signed)
}
