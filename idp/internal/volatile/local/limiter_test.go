package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (c *clock) now() time.Time               { return epoch.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration)      { c.offset.Add(int64(d)) }
func (c *clock) set(sinceEpoch time.Duration) { c.offset.Store(int64(sinceEpoch)) }

// limited is a limiter of one policy.
type limited struct {
	*Limiter
	limit int
}

func newLimited(limit int, o LimiterOptions) limited { return limited{NewLimiter(o), limit} }

func (l limited) Allow(key string) volatile.Verdict {
	return l.Take(context.Background(), key, l.limit, time.Minute)
}

func TestLimit(t *testing.T) {
	var c clock
	l := newLimited(3, LimiterOptions{Now: c.now})
	allow := func(want volatile.Verdict) {
		t.Helper()
		want.Limit, want.Window = 3, time.Minute
		require.Equal(t, want, l.Allow("a"))
	}
	allow(volatile.Verdict{Allowed: true, Remaining: 2, Reset: time.Minute})
	c.advance(10 * time.Second)
	allow(volatile.Verdict{Allowed: true, Remaining: 1, Reset: time.Minute})
	allow(volatile.Verdict{Allowed: true, Remaining: 0, Reset: time.Minute})
	c.advance(20 * time.Second)
	allow(volatile.Verdict{Reset: 40 * time.Second, RetryAfter: 30 * time.Second})
	require.True(t, l.Allow("b").Allowed, "another key has its own count")
	c.advance(30*time.Second - time.Millisecond)
	allow(volatile.Verdict{Reset: 10*time.Second + time.Millisecond, RetryAfter: time.Millisecond})
	c.advance(time.Millisecond)
	allow(volatile.Verdict{Allowed: true, Remaining: 0, Reset: time.Minute})
	allow(volatile.Verdict{Reset: time.Minute, RetryAfter: 10 * time.Second})
	c.advance(time.Hour)
	allow(volatile.Verdict{Allowed: true, Remaining: 2, Reset: time.Minute})
}

func TestClockThatStepsBack(t *testing.T) {
	var c clock
	c.set(time.Hour)
	l := newLimited(2, LimiterOptions{Now: c.now})
	require.True(t, l.Allow("a").Allowed)
	c.set(0)
	v := l.Allow("a")
	require.Equal(t, volatile.Verdict{Allowed: true, Limit: 2, Window: time.Minute, Reset: time.Minute}, v)
	require.False(t, l.Allow("a").Allowed)
	c.set(time.Hour + time.Minute)
	require.True(t, l.Allow("a").Allowed)
}

// In no window, wherever it starts, are there more than the limit; and with one
// mark a request, none is refused while fewer are in the window.
func TestExactInEveryWindow(t *testing.T) {
	for _, limit := range []int{1, 7, 100, 256, 257, 1000} {
		var c clock
		l := newLimited(limit, LimiterOptions{Now: c.now})
		random := rand.New(rand.NewPCG(1, uint64(limit)))
		var accepted []time.Duration // times of accepted requests
		window := grain(limit, 60_000)
		for range 30 * limit {
			step := time.Duration(random.IntN(120_000/limit+2)) * time.Millisecond
			if random.IntN(50) == 0 {
				step = time.Duration(random.IntN(90_000)) * time.Millisecond
			}
			if random.IntN(3) == 0 {
				step = 0
			}
			c.advance(step)
			now := time.Duration(c.offset.Load())
			inWindow := 0
			for i := len(accepted) - 1; i >= 0 && accepted[i] > now-time.Minute; i-- {
				inWindow++
			}
			v := l.Allow("a")
			if v.Allowed {
				require.Less(t, inWindow, limit, "limit %d", limit)
				accepted = append(accepted, now)
			} else {
				inWidened := inWindow
				for i := len(accepted) - 1 - inWindow; i >= 0 && accepted[i] > now-time.Minute-milliseconds(window); i-- {
					inWidened++
				}
				require.GreaterOrEqual(t, inWidened, limit, "limit %d", limit)
				require.LessOrEqual(t, v.RetryAfter, time.Minute)
				require.Positive(t, v.RetryAfter)
			}
		}
		require.Greater(t, len(accepted), limit)
	}
}

func TestExactUnderConcurrency(t *testing.T) {
	for _, limit := range []int{100, 5000} {
		var c clock
		l := newLimited(limit, LimiterOptions{Now: c.now})
		for range 3 {
			var allowed [4]atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 4 * limit {
						if l.Allow(fmt.Sprint(i % 4)).Allowed {
							allowed[i%4].Add(1)
						}
					}
				})
			}
			wg.Wait()
			for i := range allowed {
				require.EqualValues(t, limit, allowed[i].Load())
			}
			c.advance(time.Minute)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const most = 1 << 12
	var c clock
	l := newLimited(5, LimiterOptions{MaxKeys: most, Now: c.now})
	for range 5 {
		require.True(t, l.Allow("early").Allowed)
	}
	allowed := 0
	for i := range 1_000_000 {
		if l.Allow(fmt.Sprintf("2001:db8:%x::/64", i)).Allowed {
			allowed++
		}
		if i%100_000 == 0 {
			require.LessOrEqual(t, l.Keys(), most)
		}
	}
	require.LessOrEqual(t, l.Keys(), most)
	require.Equal(t, l.Keys()-1+64*5, allowed, "each key with a place once, the others 64 times 5 together")
	require.EqualValues(t, 1_000_000-(l.Keys()-1), l.Overflowed())
	refused := l.Allow("late")
	require.Equal(t, volatile.Verdict{Limit: 5, Window: time.Minute, Reset: time.Minute, RetryAfter: time.Minute}, refused, "overflow is shared and limited")
	require.False(t, l.Allow("early").Allowed, "a known key keeps its count")

	c.advance(59 * time.Second)
	require.True(t, l.Allow("early").RetryAfter > 0)
	c.advance(time.Second)
	require.True(t, l.Allow("late").Allowed, "expired keys make place")
	for i := range 100_000 {
		c.advance(time.Second)
		require.True(t, l.Allow(fmt.Sprint("slow", i)).Allowed)
	}
	require.Less(t, l.Keys(), 64*60, "expired keys are swept as new ones come")
}

// A key without a place has its limit and no more, whoever shares it.
func TestNoKeyExceedsItsLimit(t *testing.T) {
	var c clock
	l := newLimited(5, LimiterOptions{MaxKeys: 1, Now: c.now})
	var placed []string
	for i := 0; l.Keys() < shards; i++ {
		key, before := fmt.Sprint("place", i), l.Overflowed()
		if l.Allow(key); l.Overflowed() == before {
			placed = append(placed, key)
		}
	}
	c.advance(30 * time.Second)
	for _, key := range placed {
		require.True(t, l.Allow(key).Allowed)
	}
	c.advance(30 * time.Second) // the places are taken still, the overflow is free again
	require.Len(t, placed, shards)
	total := 0
	for i := range 1000 {
		allowed := 0
		for range 20 {
			if l.Allow(fmt.Sprint("none", i)).Allowed {
				allowed++
			}
		}
		require.LessOrEqual(t, allowed, 5)
		total += allowed
	}
	require.Equal(t, shards*5, total)
}

func TestMarksAreBounded(t *testing.T) {
	var c clock
	l := newLimited(1_000_000, LimiterOptions{Now: c.now})
	for range 200_000 {
		c.advance(time.Millisecond)
		require.True(t, l.Allow("a").Allowed)
	}
	table := l.table(time.Minute.Milliseconds())
	s := &table.shard[0]
	for i := range table.shard {
		if len(table.shard[i].keys) == 1 {
			s = &table.shard[i]
		}
	}
	b := s.keys["a"]
	require.LessOrEqual(t, cap(b.marks), 2*(maxMarks+1))
	require.InDelta(t, 60_000, b.used, 60_000/255+2)
}

func TestBytesPerKey(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := newLimited(100, LimiterOptions{})
	for i := range 60_000 {
		l.Allow(fmt.Sprintf("2001:db8:%x::/64", i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perKey := (after.HeapAlloc - before.HeapAlloc) / uint64(l.Keys())
	t.Logf("%d keys, %d bytes each", l.Keys(), perKey)
	require.Less(t, perKey, uint64(300))
}

// A place that was given back was never taken; one that is forgotten already
// is not given back from another's.
func TestCancel(t *testing.T) {
	for _, limit := range []int{3, 300} {
		var c clock
		l := newLimited(limit, LimiterOptions{Now: c.now})
		var places []Place
		for range limit {
			v, place := l.Reserve("a", limit, time.Minute)
			require.True(t, v.Allowed)
			require.True(t, place.Known())
			places = append(places, place)
			c.advance(time.Millisecond)
		}
		require.False(t, l.Allow("a").Allowed)
		places[1].Cancel()
		require.Equal(t, volatile.Verdict{Allowed: true, Limit: limit, Window: time.Minute, Reset: time.Minute}, l.Allow("a"))
		require.False(t, l.Allow("a").Allowed)

		c.advance(2 * time.Minute)
		for range limit {
			require.True(t, l.Allow("a").Allowed)
		}
		places[2].Cancel()
		require.False(t, l.Allow("a").Allowed)
		c.advance(time.Hour)
		require.True(t, l.Allow("b").Allowed)
		(&Place{}).Cancel()
	}
}

// Against a plain list of times: counts, cancellations and a moving clock.
func TestCancelAgainstAList(t *testing.T) {
	const limit = 20
	var c clock
	l := newLimited(limit, LimiterOptions{Now: c.now})
	random := rand.New(rand.NewPCG(7, 7))
	var counted []time.Duration
	for range 20_000 {
		c.advance(time.Duration(random.IntN(4000)) * time.Millisecond)
		now := time.Duration(c.offset.Load())
		for len(counted) > 0 && counted[0] <= now-time.Minute {
			counted = counted[1:]
		}
		v, place := l.Reserve("a", limit, time.Minute)
		require.Equal(t, len(counted) < limit, v.Allowed)
		if !v.Allowed {
			require.Equal(t, counted[0]+time.Minute-now, v.RetryAfter)
			continue
		}
		if random.IntN(3) == 0 {
			place.Cancel()
			continue
		}
		counted = append(counted, now)
	}
}

func TestWindowsAreApartAndFew(t *testing.T) {
	l := NewLimiter(LimiterOptions{Now: new(clock).now})
	for i := range maxWindows {
		require.True(t, l.Take(t.Context(), "a", 1, time.Duration(i+1)*time.Second).Allowed)
		require.False(t, l.Take(t.Context(), "a", 1, time.Duration(i+1)*time.Second).Allowed)
	}
	require.Equal(t, volatile.Verdict{Limit: 1, Window: time.Hour, Reset: time.Hour, RetryAfter: time.Hour}, l.Take(t.Context(), "a", 1, time.Hour))
}

func BenchmarkAllow(b *testing.B) {
	l := newLimited(100, LimiterOptions{})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow("192.0.2.1/32")
		}
	})
}
