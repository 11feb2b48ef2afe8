package local_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/idp/internal/volatile/volatiletest"
)

func TestContract(t *testing.T) {
	volatiletest.Run(t, func(*testing.T) []volatiletest.Replica {
		p := local.New(nil)
		return []volatiletest.Replica{{Limiter: p, Quota: p, Bus: p, Cache: p}}
	})
}

// What was not used for longest makes room.
func TestCacheIsBounded(t *testing.T) {
	const entries = 100
	c := local.NewCache(entries*1300, nil)
	value := make([]byte, 1000)
	for i := range 10 * entries {
		c.Set(t.Context(), fmt.Sprint(i), value, time.Hour)
		_, ok := c.Get(t.Context(), "0")
		require.True(t, ok, "used all the time")
	}
	kept := 0
	for i := range 10 * entries {
		if _, ok := c.Get(t.Context(), fmt.Sprint(i)); ok {
			kept++
			require.True(t, i == 0 || i > 8*entries, i)
		}
	}
	require.InDelta(t, entries, kept, entries/10)
	local.NewCache(100, nil).Set(t.Context(), "a", value, time.Hour) // more than all
}

func TestLifetimesAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
	p := local.New(func() time.Time { return now })
	p.Set(t.Context(), "a", []byte("one"), 1000*volatile.MaxTTL)
	p.Exceed(t.Context(), "a", 1, now)
	now = now.Add(volatile.MaxVerdict - 1)
	require.True(t, p.Exceeded(t.Context(), "a", 1, now))
	now = now.Add(1)
	require.False(t, p.Exceeded(t.Context(), "a", 1, now), "the store is asked again")
	now = now.Add(volatile.MaxTTL)
	_, ok := p.Get(t.Context(), "a")
	require.False(t, ok)
}
