package clientauth_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// held lets no hash end before release is closed.
func held(w *world) (release chan struct{}, flying *atomic.Int64) {
	release, flying = make(chan struct{}), new(atomic.Int64)
	w.hasher.during = func() {
		flying.Add(1)
		<-release
		flying.Add(-1)
	}
	return release, flying
}

// wrong are different secrets, which nobody proves for another.
func wrong(n int) string { return "aidp_sk_wrong" + strconv.Itoa(n) }

func reasonOf(err error) string { return apierr.From(err).Reason }

func TestHashingIsBounded(t *testing.T) {
	w := newWorld(t, func(o *clientauth.Options) { o.Concurrency, o.QueueLength, o.MaxWait = 2, 3, time.Minute })
	release, flying := held(w)
	var group sync.WaitGroup
	results := make(chan error, 5)
	for n := range 5 {
		group.Go(func() {
			_, err := w.try(w.credential.ClientID, wrong(n))
			results <- err
		})
	}
	require.Eventually(t, func() bool { return flying.Load() == 2 && w.waiting() == 3 }, time.Minute, time.Millisecond)

	_, err := w.try(w.credential.ClientID, wrong(5))
	require.True(t, apierr.Is(err, apierr.Overloaded))
	require.Equal(t, "authentication_busy", reasonOf(err))
	require.Equal(t, 2*time.Second, apierr.From(err).RetryAfter)
	_, err = w.auth.Hasher().Hash(t.Context(), "", right)
	require.Equal(t, "authentication_busy", reasonOf(err), "making secrets stands in the same line")

	close(release)
	group.Wait()
	for range 5 {
		require.Equal(t, clientauth.ReasonSecretWrong, reasonOf(<-results))
	}
}

func (w *world) waiting() float64 {
	return w.set.GetOrCreateGauge("agentidp_secret_hash_queue_length", nil).Get()
}

func TestWaitersAreDroppedUnhashed(t *testing.T) {
	w := newWorld(t, func(o *clientauth.Options) { o.Concurrency, o.QueueLength, o.MaxWait = 1, 10, time.Minute })
	release, flying := held(w)
	var group sync.WaitGroup
	first := make(chan error, 1)
	group.Go(func() {
		_, err := w.try(w.credential.ClientID, right)
		first <- err
	})
	require.Eventually(t, func() bool { return flying.Load() == 1 }, time.Minute, time.Millisecond)

	cancelled, cancel := context.WithCancel(t.Context())
	left := make(chan error, 2)
	group.Go(func() {
		_, err := w.auth.Authenticate(t.Context(), clientauth.Attempt{ClientID: w.credential.ClientID, Secret: wrong(1), Gone: func() bool { return true }})
		left <- err
	})
	group.Go(func() {
		_, err := w.auth.Authenticate(cancelled, clientauth.Attempt{ClientID: w.credential.ClientID, Secret: wrong(2), Gone: func() bool { return false }})
		left <- err
	})
	require.Eventually(t, func() bool { return w.waiting() == 2 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	close(release)
	err := <-left
	require.True(t, apierr.Is(err, apierr.Overloaded))
	require.Equal(t, "caller_gone", reasonOf(err))
	require.NoError(t, <-first)
	group.Wait()
	require.Equal(t, 1, w.hasher.calls)
	require.Zero(t, w.waiting())
	require.LessOrEqual(t, w.accepted(right), 1, "the place was given back")
}

func TestWaitingEnds(t *testing.T) {
	w := newWorld(t, func(o *clientauth.Options) { o.Concurrency, o.QueueLength, o.MaxWait = 1, 10, 20*time.Millisecond })
	release, flying := held(w)
	done := make(chan error, 1)
	go func() {
		_, err := w.try(w.credential.ClientID, right)
		done <- err
	}()
	require.Eventually(t, func() bool { return flying.Load() == 1 }, time.Minute, time.Millisecond)
	_, err := w.try(w.credential.ClientID, right)
	require.Equal(t, "authentication_busy", reasonOf(err))
	require.ErrorContains(t, err, "waited too long")
	close(release)
	require.NoError(t, <-done)
}

// A hash under way when the context ends is the hasher's to end; the answer is
// no refusal of the client.
func TestContextEndsWhileHashing(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.hasher.during = cancel
	w.hasher.err = context.Canceled
	_, err := w.auth.Authenticate(ctx, clientauth.Attempt{ClientID: w.credential.ClientID, Secret: right})
	require.True(t, apierr.Is(err, apierr.Overloaded))
	require.Equal(t, "authentication_busy", reasonOf(err))
}

// A flood of refusals hashes half of the time. Unknown clients are no different.
func TestAPlaceRestsAfterARefusal(t *testing.T) {
	const hash = 30 * time.Millisecond
	w := newWorld(t, func(o *clientauth.Options) { o.Concurrency, o.QueueLength, o.MaxWait = 1, 3, time.Minute })
	w.hasher.during = func() { time.Sleep(hash) } // stands for the work
	for _, clientID := range []string{w.credential.ClientID, "unknown"} {
		began := time.Now()
		_, err := w.try(clientID, "aidp_sk_wrong")
		require.True(t, apierr.Is(err, apierr.InvalidClient))
		_, err = w.auth.Hasher().Hash(t.Context(), "", right) // is quick
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), 2*hash)
	}
}

// After a rotation a busy client comes with many requests at once: one hash is
// enough for them, and nobody is turned away.
func TestTheSameProofIsMadeOnce(t *testing.T) {
	for _, secret := range []string{right, wrong(0)} {
		w := newWorld(t, func(o *clientauth.Options) { o.Concurrency, o.QueueLength, o.MaxWait = 1, 1, time.Minute })
		release, flying := held(w)
		results := make(chan error, 20)
		for range 20 {
			go func() {
				_, err := w.try(w.credential.ClientID, secret)
				results <- err
			}()
		}
		require.Eventually(t, func() bool {
			return flying.Load() == 1 && w.set.GetOrCreateCounter("agentidp_secret_hash_shared_total").Get() == 19
		}, time.Minute, time.Millisecond)
		close(release)
		for range 20 {
			if err := <-results; secret == right {
				require.NoError(t, err)
			} else {
				require.Equal(t, clientauth.ReasonSecretWrong, reasonOf(err))
			}
		}
		require.Equal(t, 1, w.hasher.calls)
	}
}
