package statuslist

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func (w *world) indexes() *Indexes {
	return NewIndexes(IndexOptions{DB: w.db, Issuer: "https://idp.test", Now: w.now, Logger: slog.New(slog.DiscardHandler)})
}

// draw takes places and demands that each is where its index says.
func draw(t *testing.T, x *Indexes, n int) []int64 {
	t.Helper()
	all := make([]int64, n)
	for i := range all {
		index, place, err := x.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, x.place(index), place)
		require.Equal(t, uri("https://idp.test/statuslists/", index/store.StatusListSize), place.URI)
		require.Equal(t, index%store.StatusListSize, place.Index)
		all[i] = index
	}
	return all
}

func requireDistinct(t *testing.T, all []int64) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(all))
	require.Len(t, slices.Compact(sorted), len(all))
}

// Replicas, parallel callers, ends and new starts: no index comes twice.
func TestNoIndexTwice(t *testing.T) {
	for backend, open := range stores {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, open(t))
			var mu sync.Mutex
			var all []int64
			for range 3 { // each a process that ends with most of a block in hand
				var callers sync.WaitGroup
				for range 2 {
					replica := w.indexes()
					for range 4 {
						callers.Go(func() {
							var got []int64
							for range 5000 {
								index, _, err := replica.Next(t.Context())
								if err != nil {
									t.Error(err)
									return
								}
								got = append(got, index)
							}
							mu.Lock()
							defer mu.Unlock()
							all = append(all, got...)
						})
					}
				}
				callers.Wait()
			}
			require.Len(t, all, 3*2*4*5000)
			requireDistinct(t, all)
		})
	}
}

// A crash between the commit that takes a block and the process that gets it wastes the block.
func TestACrashAfterTakingWastesTheBlock(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	lost := w.take(blockSize)
	first := draw(t, w.indexes(), 10)
	for _, index := range first {
		require.GreaterOrEqual(t, index, lost+blockSize)
	}
}

// The order inside a block tells nothing: neither the same twice, nor rising.
func TestTheOrderIsRandom(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	one, two := draw(t, w.indexes(), blockSize), draw(t, w.indexes(), blockSize)
	require.Equal(t, int64(0), slices.Min(one))
	require.Equal(t, int64(blockSize-1), slices.Max(one))
	require.Equal(t, int64(blockSize), slices.Min(two))
	rising, same := 0, 0
	for i := range one[1:] {
		if one[i] < one[i+1] {
			rising++
		}
		if one[i] == two[i]-blockSize {
			same++
		}
	}
	require.InDelta(t, blockSize/2, rising, blockSize/10)
	require.Less(t, same, 20)
}

// A block is not kept for longer than its list is expected to get new tokens.
func TestABlockAges(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	x := w.indexes()
	draw(t, x, 1)
	w.pass(blockLife - time.Second)
	require.Less(t, draw(t, x, 1)[0], int64(blockSize))
	w.pass(time.Second)
	require.GreaterOrEqual(t, draw(t, x, 1)[0], int64(blockSize))
	w.pass(-10 * time.Minute) // a clock that was set back tells no age
	require.GreaterOrEqual(t, draw(t, x, 1)[0], int64(2*blockSize))
}

// Without an index there is no token; callers who wait together fail together.
func TestNoIndexWithoutTheStore(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	x := w.indexes()
	w.db.off.Store(true)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			_, _, err := x.Next(t.Context())
			refusal := apierr.From(err)
			if refusal.Code != apierr.Unavailable || refusal.Reason != "status_index_missing" || refusal.RetryAfter == 0 {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	gone, leave := context.WithCancel(t.Context())
	leave()
	<-x.turn
	_, _, err := x.Next(gone)
	require.ErrorIs(t, err, context.Canceled)
	x.turn <- struct{}{}
	w.db.off.Store(false)
	draw(t, x, 1)
	w.db.off.Store(true)
	draw(t, x, blockSize-1) // what is in hand is good without the store
	_, _, err = x.Next(t.Context())
	require.ErrorIs(t, err, store.ErrUnavailable)
}

// Run takes the next block before the one in hand is used up, and no more than one.
func TestBlocksAreTakenAhead(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	x := w.indexes()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { x.Run(ctx) })
	all := draw(t, x, blockSize-refillAt)
	require.Equal(t, int64(1), w.db.work.Load())
	all = append(all, draw(t, x, 1)...)
	require.Eventually(t, func() bool { return x.left() == blockSize+refillAt-1 }, time.Minute, time.Millisecond)
	all = append(all, draw(t, x, refillAt+100)...)
	requireDistinct(t, all)
	require.Equal(t, int64(2), w.db.work.Load())

	// A failure is tried again.
	w.db.off.Store(true)
	all = append(all, draw(t, x, x.left()-1)...)
	require.Eventually(t, func() bool { return w.db.work.Load() >= 3 }, time.Minute, time.Millisecond)
	w.db.off.Store(false)
	require.Eventually(t, func() bool { return x.left() > blockSize/2 }, time.Minute, time.Millisecond)
	requireDistinct(t, append(all, draw(t, x, 2)...))
	cancel()
	running.Wait()
}

func TestTokenIDs(t *testing.T) {
	at := noon.Add(123 * time.Millisecond)
	seen := map[string]bool{}
	for range 1000 {
		id := NewTokenID(at)
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
		got, known := issuedAt(id)
		require.True(t, known)
		require.True(t, at.Equal(got))
		require.False(t, seen[id])
		seen[id] = true
	}
	for _, other := range []string{"", "j1", "00000000-0000-4000-8000-000000000000", "01980000-0000-7000-8000-00000000000G", "{01980000-0000-7000-8000-000000000000}", "01980000-0000-7000-8000-00000000000A"} {
		_, known := issuedAt(other)
		require.False(t, known, other)
	}
}
