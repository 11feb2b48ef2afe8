package revocation

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/feed"
)

// Who asks while a page is read gets the next reading, with all who ask
// meanwhile; other cursors are read on their own.
func TestReadingsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared readings
		var count atomic.Int64
		gate := make(chan struct{})
		read := func(_ context.Context, to *reading) {
			n := count.Add(1)
			<-gate
			to.page = &feed.Page{Cursor: string(rune('0' + n))}
		}
		var callers sync.WaitGroup
		ask := func(ctx context.Context, seq int64, want string) {
			callers.Go(func() {
				got, err := shared.at(ctx, seq, read)
				if want == "" {
					require.ErrorIs(t, err, context.Canceled)
					return
				}
				require.NoError(t, err)
				require.Equal(t, want, got.page.Cursor)
			})
		}
		ctx, leave := context.WithCancel(t.Context())
		ask(ctx, 7, "")
		synctest.Wait()
		require.Equal(t, int64(1), count.Load())
		for range 200 {
			ask(t.Context(), 7, "3")
		}
		leave()
		synctest.Wait()
		require.Equal(t, int64(1), count.Load(), "the first goes on for nobody")
		ask(t.Context(), 8, "2")
		synctest.Wait()
		require.Equal(t, int64(2), count.Load())
		gate <- struct{}{}
		gate <- struct{}{}
		synctest.Wait()
		require.Equal(t, int64(3), count.Load())
		gate <- struct{}{}
		callers.Wait()
		synctest.Wait()
		require.Empty(t, shared.next)
	})
}

// A panic in a shared reading is an error for those who wait, and the next one reads.
func TestAReadingThatPanics(t *testing.T) {
	var r readings
	var times atomic.Int64
	read := func(_ context.Context, to *reading) {
		if times.Add(1) == 1 {
			panic("boom")
		}
		to.known = true
	}
	_, err := r.at(t.Context(), 1, read)
	require.ErrorContains(t, err, "boom")
	got, err := r.at(t.Context(), 1, read)
	require.NoError(t, err)
	require.True(t, got.known)
}
