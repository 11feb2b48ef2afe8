package volatiletest

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

var limiterFacts = []fact{
	{"a limit of zero or less does not limit", func(t *testing.T, first, _ Replica) {
		for _, limit := range []int{0, -1} {
			require.Equal(t, volatile.Verdict{Allowed: true}, first.Take(t.Context(), "a", limit, time.Minute))
		}
	}},
	{"counts to the limit, over all replicas", func(t *testing.T, first, last Replica) {
		for i := range 3 {
			require.Equal(t, volatile.Verdict{
				Allowed: true, Limit: 3, Window: time.Hour, Remaining: 2 - i, Reset: time.Hour,
			}, []Replica{first, last, first}[i].Take(t.Context(), "a", 3, time.Hour))
		}
		for _, r := range []Replica{first, last} {
			v := r.Take(t.Context(), "a", 3, time.Hour)
			require.Equal(t, volatile.Verdict{Limit: 3, Window: time.Hour, Reset: v.Reset, RetryAfter: v.RetryAfter}, v)
			require.Greater(t, v.RetryAfter, 59*time.Minute)
			require.LessOrEqual(t, v.RetryAfter, v.Reset)
			require.LessOrEqual(t, v.Reset, time.Hour)
		}
	}},
	{"keys and windows are apart", func(t *testing.T, first, last Replica) {
		for _, key := range []string{"a", "b", "", "agent a", "{a}", "2001:db8::/64", "a\x00b", strings.Repeat("a", 1000)} {
			for _, window := range []time.Duration{time.Hour, time.Minute} {
				require.True(t, first.Take(t.Context(), key, 1, window).Allowed, "%q", key)
				require.False(t, last.Take(t.Context(), key, 1, window).Allowed, "%q", key)
			}
		}
	}},
	{"a limit that changes holds at once", func(t *testing.T, first, last Replica) {
		for range 5 {
			require.True(t, first.Take(t.Context(), "a", 5, time.Hour).Allowed)
		}
		require.True(t, first.Take(t.Context(), "a", 6, time.Hour).Allowed)
		lowered := last.Take(t.Context(), "a", 2, time.Hour)
		require.False(t, lowered.Allowed)
		require.Zero(t, lowered.Remaining)
	}},
	{"bounds", func(t *testing.T, first, _ Replica) {
		require.Equal(t, volatile.MaxLimit, first.Take(t.Context(), "a", volatile.MaxLimit+1, time.Hour).Limit)
		require.Equal(t, volatile.MaxWindow, first.Take(t.Context(), "a", 1, 48*time.Hour).Window)
		require.Equal(t, time.Millisecond, first.Take(t.Context(), "a", 1, 0).Window)
	}},
	{"many requests share marks and count", func(t *testing.T, first, last Replica) {
		for i := range 600 {
			require.Equal(t, 599-i, []Replica{first, last}[i%2].Take(t.Context(), "a", 600, time.Hour).Remaining)
		}
		require.False(t, first.Take(t.Context(), "a", 600, time.Hour).Allowed)
	}},
	{"exact under concurrency", func(t *testing.T, first, last Replica) {
		const limit = 100
		var allowed atomic.Int64
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for range limit {
					if []Replica{first, last}[i%2].Take(t.Context(), "a", limit, time.Hour).Allowed {
						allowed.Add(1)
					}
				}
			})
		}
		group.Wait()
		require.EqualValues(t, limit, allowed.Load())
	}},
	{"no more than the limit in any window, wherever it starts", slides},
}

// slides asks without pause and looks at when requests were allowed: the one
// after limit others not before a window has passed.
func slides(t *testing.T, first, last Replica) {
	const limit, window = 5, 200 * time.Millisecond
	type span struct{ asked, answered time.Time }
	var allowed []span
	for start := time.Now(); time.Since(start) < 6*window || len(allowed) <= 3*limit; {
		asked := time.Now()
		v := []Replica{first, last}[len(allowed)%2].Take(t.Context(), "a", limit, window)
		if v.Allowed {
			allowed = append(allowed, span{asked, time.Now()})
			continue
		}
		require.Positive(t, v.RetryAfter)
		require.LessOrEqual(t, v.RetryAfter, window)
	}
	for i := limit; i < len(allowed); i++ {
		between := allowed[i].answered.Sub(allowed[i-limit].asked)
		require.Greater(t, between, window-2*time.Millisecond, "request %d", i) // times are whole milliseconds
	}
}
