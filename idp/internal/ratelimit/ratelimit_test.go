package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (c *clock) now() time.Time               { return epoch.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration)      { c.offset.Add(int64(d)) }
func (c *clock) set(sinceEpoch time.Duration) { c.offset.Store(int64(sinceEpoch)) }

func TestLimit(t *testing.T) {
	var c clock
	l := New(Options{Limit: 3, Now: c.now})
	allow := func(want Verdict) {
		t.Helper()
		want.Limit, want.Window = 3, time.Minute
		require.Equal(t, want, l.Allow("a"))
	}
	allow(Verdict{Allowed: true, Remaining: 2, Reset: time.Minute})
	c.advance(10 * time.Second)
	allow(Verdict{Allowed: true, Remaining: 1, Reset: time.Minute})
	allow(Verdict{Allowed: true, Remaining: 0, Reset: time.Minute})
	c.advance(20 * time.Second)
	allow(Verdict{Reset: 40 * time.Second, RetryAfter: 30 * time.Second})
	require.True(t, l.Allow("b").Allowed, "another key has its own count")
	c.advance(30*time.Second - time.Millisecond)
	allow(Verdict{Reset: 10*time.Second + time.Millisecond, RetryAfter: time.Millisecond})
	c.advance(time.Millisecond)
	allow(Verdict{Allowed: true, Remaining: 0, Reset: time.Minute})
	allow(Verdict{Reset: time.Minute, RetryAfter: 10 * time.Second})
	c.advance(time.Hour)
	allow(Verdict{Allowed: true, Remaining: 2, Reset: time.Minute})
}

func TestNoLimit(t *testing.T) {
	for _, limit := range []int{0, -1} {
		l := New(Options{Limit: limit})
		require.Nil(t, l)
		require.Equal(t, Verdict{Allowed: true}, l.Allow("a"))
		require.Zero(t, l.Keys())
		require.Zero(t, l.Overflowed())
		require.Nil(t, Headers(l.Allow("a"), time.Now()))
	}
}

func TestClockThatStepsBack(t *testing.T) {
	var c clock
	c.set(time.Hour)
	l := New(Options{Limit: 2, Now: c.now})
	require.True(t, l.Allow("a").Allowed)
	c.set(0)
	v := l.Allow("a")
	require.Equal(t, Verdict{Allowed: true, Limit: 2, Window: time.Minute, Reset: time.Minute}, v)
	require.False(t, l.Allow("a").Allowed)
	c.set(time.Hour + time.Minute)
	require.True(t, l.Allow("a").Allowed)
}

// In no window, wherever it starts, are there more than the limit; and with one
// mark a request, none is refused while fewer are in the window.
func TestExactInEveryWindow(t *testing.T) {
	for _, limit := range []int{1, 7, 100, 256, 257, 1000} {
		var c clock
		l := New(Options{Limit: limit, Now: c.now})
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
		l := New(Options{Limit: limit, Now: c.now})
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
	l := New(Options{Limit: 5, MaxKeys: most, Overflow: 50, Now: c.now})
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
	require.Equal(t, l.Keys()-1+50, allowed, "each key with a place once, the others 50 together")
	require.EqualValues(t, 1_000_000-(l.Keys()-1), l.Overflowed())
	refused := l.Allow("late")
	require.Equal(t, Verdict{Limit: 50, Window: time.Minute, Reset: time.Minute, RetryAfter: time.Minute}, refused, "overflow is shared and limited")
	require.False(t, l.Allow("early").Allowed, "a known key keeps its count")

	c.advance(time.Minute)
	require.True(t, l.Allow("late").Allowed, "expired keys make place")
	for i := range 100_000 {
		c.advance(time.Second)
		require.True(t, l.Allow(fmt.Sprint("slow", i)).Allowed)
	}
	require.Less(t, l.Keys(), 64*60, "expired keys are swept as new ones come")
}

func TestMarksAreBounded(t *testing.T) {
	var c clock
	l := New(Options{Limit: 1_000_000, Now: c.now})
	for range 200_000 {
		c.advance(time.Millisecond)
		require.True(t, l.Allow("a").Allowed)
	}
	s := &l.shard[0]
	for i := range l.shard {
		if len(l.shard[i].keys) == 1 {
			s = &l.shard[i]
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
	l := New(Options{Limit: 100})
	for i := range 60_000 {
		l.Allow(fmt.Sprintf("2001:db8:%x::/64", i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perKey := (after.HeapAlloc - before.HeapAlloc) / uint64(l.Keys())
	t.Logf("%d keys, %d bytes each", l.Keys(), perKey)
	require.Less(t, perKey, uint64(300))
}

func TestHeaders(t *testing.T) {
	now := time.Unix(1000, 500_000_000)
	require.Equal(t, []Header{
		{"RateLimit-Policy", `"default";q=100;w=60`},
		{"RateLimit", `"default";r=7;t=60`},
		{"X-RateLimit-Limit", "100"},
		{"X-RateLimit-Remaining", "7"},
		{"X-RateLimit-Reset", "1060"},
	}, Headers(Verdict{Allowed: true, Limit: 100, Window: time.Minute, Remaining: 7, Reset: 59*time.Second + time.Millisecond}, now))
	refused := Headers(Verdict{Limit: 100, Window: time.Minute, Reset: time.Minute, RetryAfter: 1001 * time.Millisecond}, now)
	require.Equal(t, Header{"Retry-After", "2"}, refused[5])
	require.Equal(t, Header{"X-RateLimit-Reset", "1061"}, refused[4])
	require.Equal(t, Header{"Retry-After", "1"}, Headers(Verdict{Limit: 1, RetryAfter: time.Millisecond}, now)[5])
}

func BenchmarkAllow(b *testing.B) {
	l := New(Options{Limit: 100})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow("192.0.2.1/32")
		}
	})
}
