package volatiletest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func signalled(changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	default:
		return false
	}
}

// settle waits until signals reach the other replica, and nothing of it is left.
func settle(t *testing.T, from, to Replica) {
	probe := topic()
	changed, stop := to.Subscribe(probe)
	defer stop()
	require.Eventually(t, func() bool { from.Publish(t.Context(), probe); return signalled(changed) }, patience, 20*time.Millisecond)
}

var busFacts = []fact{
	{"signals its own process at once", func(t *testing.T, first, _ Replica) {
		topic := topic()
		changed, stop := first.Subscribe(topic)
		defer stop()
		first.Publish(t.Context(), topic)
		require.True(t, signalled(changed))
	}},
	{"signals other processes, every subscriber", func(t *testing.T, first, last Replica) {
		settle(t, first, last)
		topic := topic()
		one, stop := last.Subscribe(topic)
		defer stop()
		two, stop := last.Subscribe(topic)
		defer stop()
		first.Publish(t.Context(), topic)
		for _, changed := range []<-chan struct{}{one, two} {
			select {
			case <-changed:
			case <-time.After(patience):
				t.Fatal("no signal")
			}
		}
	}},
	{"coalesces and never blocks", func(t *testing.T, first, _ Replica) {
		settle(t, first, first)
		topic := topic()
		changed, stop := first.Subscribe(topic)
		defer stop()
		for range 1000 {
			first.Publish(t.Context(), topic)
		}
		require.True(t, signalled(changed))
	}},
	{"topics are apart", func(t *testing.T, first, last Replica) {
		settle(t, first, last)
		one, two := topic(), topic()
		changed, stop := last.Subscribe(one)
		defer stop()
		other, stop := last.Subscribe(two)
		defer stop()
		require.Eventually(t, func() bool { // a connection that was made anew signals everybody, which is seldom
			signalled(changed)
			first.Publish(t.Context(), two)
			select {
			case <-other:
			case <-time.After(patience):
				return false
			}
			return !signalled(changed)
		}, patience, time.Millisecond)
	}},
	{"stop ends the signals", func(t *testing.T, first, _ Replica) {
		topic := topic()
		changed, stop := first.Subscribe(topic)
		stop()
		stop()
		first.Publish(t.Context(), topic)
		require.False(t, signalled(changed))
	}},
}
