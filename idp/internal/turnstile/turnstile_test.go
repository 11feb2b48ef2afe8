package turnstile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/turnstile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := turnstile.New(1, 3)
		require.Equal(t, 1, gate.Width())
		require.NoError(t, gate.Enter(t.Context()))
		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				if gate.Enter(t.Context()) == nil {
					order <- i
					gate.Leave()
				}
			}()
			synctest.Wait()
			require.Equal(t, i+1, gate.Waiting())
		}
		require.ErrorIs(t, gate.Enter(t.Context()), turnstile.ErrFull)
		require.Equal(t, 3, gate.Waiting())
		gate.Leave()
		for i := range 3 {
			require.Equal(t, i, <-order)
		}
		synctest.Wait()
		require.Zero(t, gate.Waiting())
		require.NoError(t, gate.Enter(t.Context()), "every place was given back")
		gate.Leave()
	})
}

func TestWaiterWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := turnstile.New(1, 1)
		require.NoError(t, gate.Enter(t.Context()))
		tooLong := errors.New("too long")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, tooLong)
		defer cancel()
		started := time.Now()
		require.ErrorIs(t, gate.Enter(ctx), tooLong)
		require.Equal(t, 2*time.Second, time.Since(started))
		require.Zero(t, gate.Waiting())
		require.ErrorIs(t, gate.Enter(ctx), tooLong, "nor does it enter late")
		gate.Leave()
		require.ErrorIs(t, gate.Enter(ctx), tooLong, "even when there is room")
		require.NoError(t, gate.Enter(t.Context()))
		gate.Leave()
	})
}

// A place that comes free in the same instant as the context ends is not lost.
func TestNoPlaceIsLost(t *testing.T) {
	for range 200 {
		gate := turnstile.New(1, 1)
		require.NoError(t, gate.Enter(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- gate.Enter(ctx) }()
		require.Eventually(t, func() bool { return gate.Waiting() == 1 }, time.Minute, time.Microsecond)
		go cancel()
		gate.Leave()
		if <-done == nil {
			gate.Leave()
		}
		require.NoError(t, gate.Enter(t.Context()))
		cancel()
	}
}
