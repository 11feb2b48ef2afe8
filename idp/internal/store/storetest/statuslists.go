package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

var statusListFacts = []fact{
	{"blocks follow one another, and none crosses into the next list", func(t *testing.T, b Backend) {
		require.Equal(t, int64(0), take(t, b.DB, 1000, noon))
		require.Equal(t, int64(1000), take(t, b.DB, 1, noon))
		require.Equal(t, int64(1001), take(t, b.DB, store.StatusListSize-1001, noon))
		require.Equal(t, int64(store.StatusListSize), take(t, b.DB, 600_000, noon))
		require.Equal(t, int64(2*store.StatusListSize), take(t, b.DB, 600_000, noon), "what is left of the list before is not enough")
		require.Equal(t, int64(3*store.StatusListSize), take(t, b.DB, store.StatusListSize, noon))
	}},
	{"nothing is given out twice after a restart", func(t *testing.T, b Backend) {
		require.Equal(t, int64(0), take(t, b.DB, 16_384, noon))
		require.Equal(t, int64(16_384), take(t, b.Reopen(t), 16_384, noon))
	}},
	{"what a transaction took and lost may be given out, for nobody has it", func(t *testing.T, b Backend) {
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.StatusLists.Take(ctx, 16, noon); err != nil {
				return err
			}
			return errFact
		})
		require.Equal(t, int64(0), take(t, b.DB, 16, noon))
	}},
	{"of many who take at once each has its own", func(t *testing.T, b Backend) {
		const takers, each = 8, 100
		firsts := make([]int64, takers)
		var callers sync.WaitGroup
		for i := range firsts {
			callers.Go(func() {
				err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
					firsts[i], err = tx.StatusLists.Take(ctx, each, noon)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		var want []int64
		for i := range int64(takers) {
			want = append(want, i*each)
		}
		require.ElementsMatch(t, want, firsts)
	}},
	{"only so many are given out at once", func(t *testing.T, b Backend) {
		for _, n := range []int{-1, 0, store.StatusListSize + 1} {
			require.Error(t, b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.StatusLists.Take(ctx, n, noon)
				return err
			}), n)
		}
	}},
	{"a view takes nothing", func(t *testing.T, b Backend) {
		absent(t, b.DB, store.ErrReadOnly, func(ctx context.Context, tx *store.Tx) (int64, error) { return tx.StatusLists.Take(ctx, 1, noon) })
	}},
	{"live lists are those that were taken from lately; the newest is never forgotten", func(t *testing.T, b Backend) {
		live := func(since time.Time) []int64 {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) ([]int64, error) { return tx.StatusLists.Live(ctx, since) })
		}
		require.Empty(t, live(noon))
		for n := range 3 {
			take(t, b.DB, store.StatusListSize, noon.Add(time.Duration(n)*time.Minute))
		}
		require.Equal(t, []int64{0, 1, 2}, live(noon))
		require.Equal(t, []int64{1, 2}, live(zoned.Add(time.Minute)))
		take(t, b.DB, 1, noon.Add(3*time.Minute))
		take(t, b.DB, 1, noon) // another replica's clock is behind
		require.Equal(t, []int64{3}, live(noon.Add(3*time.Minute)))
		prune := func(before time.Time) {
			pruneAll(t, b.DB, func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.StatusLists.Prune(ctx, before) })
		}
		prune(zoned.Add(time.Minute))
		require.Equal(t, []int64{1, 2, 3}, live(time.UnixMilli(0)))
		prune(noon.Add(time.Hour))
		require.Equal(t, []int64{3}, live(time.UnixMilli(0)))
		require.Equal(t, int64(3*store.StatusListSize+2), take(t, b.DB, 1, noon))
	}},
	{"many lists are forgotten in batches, oldest first", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			for range store.PruneBatch + 2 {
				if _, err := tx.StatusLists.Take(ctx, store.StatusListSize, noon); err != nil {
					return err
				}
			}
			return nil
		})
		batch := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return tx.StatusLists.Prune(ctx, noon.Add(time.Hour))
		}
		live := func() []int64 {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) ([]int64, error) { return tx.StatusLists.Live(ctx, noon) })
		}
		require.True(t, pruneOnce(t, b.DB, batch))
		require.Equal(t, []int64{store.PruneBatch, store.PruneBatch + 1}, live())
		require.False(t, pruneOnce(t, b.DB, batch))
		require.Equal(t, []int64{store.PruneBatch + 1}, live())
	}},
}

func take(t *testing.T, db store.DB, n int, at time.Time) (first int64) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		first, err = tx.StatusLists.Take(ctx, n, at)
		return err
	})
	return first
}
