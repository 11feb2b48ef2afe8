package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPolicy(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := New(Options{Limit: 2, Now: func() time.Time { return now }})
	require.Equal(t, Verdict{Allowed: true, Limit: 2, Window: time.Minute, Remaining: 1, Reset: time.Minute}, l.Allow("a"))
	require.True(t, l.Take(t.Context(), "a").Allowed)
	require.False(t, l.Allow("a").Allowed)
	require.True(t, l.Allow("b").Allowed, "another key has its own count")
	now = now.Add(time.Minute)
	require.True(t, l.Allow("a").Allowed)
}

func TestNoLimit(t *testing.T) {
	for _, limit := range []int{0, -1} {
		l := New(Options{Limit: limit})
		require.Nil(t, l)
		require.Equal(t, Verdict{Allowed: true}, l.Allow("a"))
		require.Nil(t, Headers(l.Allow("a"), time.Now()))
	}
}

// asked is a volatile.Limiter that tells what it was asked.
type asked struct {
	key    string
	limit  int
	window time.Duration
}

func (a *asked) Take(_ context.Context, key string, limit int, window time.Duration) Verdict {
	a.key, a.limit, a.window = key, limit, window
	return Verdict{Limit: limit, Window: window, RetryAfter: time.Second}
}

func TestOtherLimiter(t *testing.T) {
	for _, fact := range []struct{ window, asked time.Duration }{
		{0, time.Minute}, {-1, time.Minute}, {25 * time.Hour, time.Minute}, {time.Hour, time.Hour},
	} {
		var counts asked
		l := New(Options{Limit: 7, Window: fact.window, Limiter: &counts})
		require.False(t, l.Allow("a").Allowed)
		require.Equal(t, asked{"a", 7, fact.asked}, counts)
	}
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
