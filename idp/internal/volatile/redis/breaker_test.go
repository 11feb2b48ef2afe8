package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBreaker(t *testing.T) {
	bad := errors.New("bad")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	b := newBreaker()
	require.False(t, b.closed(), "nobody asks before a probe succeeded")
	require.ErrorIs(t, b.reason(), errOpen)
	b.probed(bad, now)
	require.ErrorIs(t, b.reason(), bad)
	b.asked(nil, now)
	require.False(t, b.closed(), "a late answer proves nothing")
	b.probed(nil, now)
	require.True(t, b.closed())
	require.NoError(t, b.reason())
	require.Equal(t, probeUp, b.pause(now))

	now = now.Add(time.Minute)
	b.asked(bad, now)
	b.asked(bad, now)
	require.True(t, b.closed())
	for range 16 {
		b.asked(nil, now)
	}
	b.asked(bad, now)
	b.asked(bad, now)
	require.True(t, b.closed(), "forgotten")
	b.asked(bad, now)
	require.False(t, b.closed(), "three in a row")
	require.ErrorIs(t, b.reason(), bad)
	require.Len(t, b.opened, 1)
	b.asked(bad, now)

	var holds []time.Duration
	for range 8 { // each probe succeeds, the questions fail
		hold := b.pause(now)
		holds = append(holds, hold)
		now = now.Add(hold)
		b.probed(nil, now)
		now = now.Add(time.Second)
		for range 3 {
			b.asked(bad, now)
		}
		require.False(t, b.closed())
	}
	require.Equal(t, []time.Duration{
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, maxHold, maxHold, maxHold,
	}, holds)
	now = now.Add(maxHold)
	require.Equal(t, probeDown, b.pause(now), "down for long: often")
	b.probed(nil, now)
	now = now.Add(steadyFor)
	b.probed(bad, now)
	require.False(t, b.closed(), "one failed probe is enough")
	require.Equal(t, minHold, b.pause(now))
}

// One failure in four is too many, one in twenty is not.
func TestBreakerRate(t *testing.T) {
	for every, opens := range map[int]bool{4: true, 20: false} {
		b := newBreaker()
		b.probed(nil, time.Now())
		for i := range 1000 {
			var err error
			if i%every == 0 {
				err = errReply
			}
			b.asked(err, time.Now())
		}
		require.Equal(t, opens, !b.closed(), "one in %d", every)
	}
}
