package batchsign

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t testing.TB) *Signer {
	t.Helper()
	opened, err := Open(known(t), runtime.GOMAXPROCS(0))
	require.NoError(t, err)
	return opened.(*Signer)
}

// requireIdle: nothing is at work, nobody waits, and no memory was lost.
func requireIdle(t *testing.T, s *Signer) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.passes)
	require.Empty(t, s.waiting)
	require.LessOrEqual(t, len(s.free), s.limit)
}

// signs asks for one signature, and holds it to crypto/rsa.
func signs(t *testing.T, s *Signer) {
	digests := randomDigests(t)
	signed, err := s.Sign(rand.Reader, digests[0][:], crypto.SHA256)
	if err != nil || rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, digests[0][:], signed) != nil {
		t.Error("not a signature of this digest", err)
	}
}

// requireDone: all callers have their answer.
func requireDone(t *testing.T, callers *sync.WaitGroup) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		callers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a caller is forgotten")
	}
}

// queue has so many callers wait behind passes that hold all there is.
func queue(t *testing.T, s *Signer, callers int, call func()) *sync.WaitGroup {
	t.Helper()
	s.mu.Lock()
	s.limit, s.passes = 1, 1
	s.mu.Unlock()
	done := new(sync.WaitGroup)
	for range callers {
		done.Go(call)
	}
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting) == callers
	}, 10*time.Second, time.Millisecond)
	return done
}

// Who waited longest goes first, and leads the next pass.
func TestFirstComeFirstServed(t *testing.T) {
	s := open(t)
	var all []*request
	for range 7 {
		all = append(all, &request{turn: make(chan bool, 1)})
	}
	s.passes, s.limit, s.waiting = 1, 1, slices.Clone(all[1:])
	batch, memory, _ := s.begin(all[0])
	require.Equal(t, all[:4], batch)
	s.settle(batch, memory, nil)
	for i, r := range all[1:5] {
		require.Equal(t, i == 3, <-r.turn, "caller %d", i+1)
	}
	batch, memory, _ = s.begin(all[4])
	require.Equal(t, all[4:], batch)
	s.settle(batch, memory, nil)
	require.False(t, <-all[5].turn)
	require.False(t, <-all[6].turn)
	requireIdle(t, s)
}

// Nobody is forgotten: each of those that wait is served by the one pass at a time.
func TestNobodyIsForgotten(t *testing.T) {
	s := open(t)
	done := queue(t, s, 101, func() { signs(t, s) })
	s.settle(nil, new(pass), nil)
	requireDone(t, done)
	requireIdle(t, s)
	require.EqualValues(t, 26, s.begun, "four in each pass")
}

// Who waits when a fault is found is served by crypto/rsa, and gets no pass.
func TestWhoWaitsAtAFault(t *testing.T) {
	s := open(t)
	t.Cleanup(func() { faults.Store(0) })
	done := queue(t, s, 21, func() { signs(t, s) })
	s.key.c.m[3][6] ^= 4
	s.settle(nil, new(pass), nil)
	requireDone(t, done)
	requireIdle(t, s)
	require.EqualValues(t, 1, Faults(), "one pass was tried")
	select {
	case <-Faulted():
	default:
		require.Fail(t, "nobody is told")
	}
}

// Signatures by crypto/rsa keep a core busy each, however many ask.
func TestTheFallbackIsBoundedToTheCores(t *testing.T) {
	t.Cleanup(func() { faults.Store(0) })
	private := known(t)
	synctest.Test(t, func(t *testing.T) {
		opened, err := Open(private, 2)
		require.NoError(t, err)
		s := opened.(*Signer)
		faults.Store(1)
		s.instead <- struct{}{}
		signs(t, s)
		s.instead <- struct{}{}
		var done atomic.Bool
		go func() {
			signs(t, s)
			done.Store(true)
		}()
		synctest.Wait()
		require.False(t, done.Load())
		<-s.instead
		synctest.Wait()
		require.True(t, done.Load())
	})
}

// What another pass makes while a fault is found is not let out either.
func TestAFaultOfAnother(t *testing.T) {
	s := open(t)
	t.Cleanup(func() { faults.Store(0) })
	r := &request{}
	require.NoError(t, s.pass(new(pass), []*request{r}, -1))
	require.NotZero(t, r.signature)
	made := [4]signature{r.signature}
	r.signature = signature{}
	faults.Store(1)
	require.ErrorIs(t, deliver([]*request{r}, &made), errFault)
	require.ErrorIs(t, s.pass(new(pass), []*request{r}, -1), errFault)
	require.Zero(t, r.signature)
}

// The sample is verified by crypto/rsa: here of a public key that is not this one's.
func TestTheSampleIsVerified(t *testing.T) {
	s := open(t)
	t.Cleanup(func() { faults.Store(0) })
	other := *s.private
	other.PublicKey = newKey(t).PublicKey
	s.private = &other
	r := &request{}
	require.NoError(t, s.pass(new(pass), []*request{r}, -1))
	require.ErrorIs(t, s.pass(new(pass), []*request{r}, 0), rsa.ErrVerification)
	require.EqualValues(t, 1, Faults())
	taken := 0
	for range 2 * sampled {
		if _, _, sample := s.begin(r); sample >= 0 {
			taken++
		}
	}
	require.Equal(t, 2, taken)
}

// A pass that panics wakes those that it was to serve, and is a fault.
func TestAPanicLosesNobody(t *testing.T) {
	s := open(t)
	t.Cleanup(func() { faults.Store(0) })
	panics := make(chan any, 21)
	done := queue(t, s, 21, func() {
		defer func() { panics <- recover() }()
		signs(t, s)
	})
	s.key = nil
	s.settle(nil, new(pass), nil)
	requireDone(t, done)
	requireIdle(t, s)
	require.EqualValues(t, 1, Faults())
	panicked := 0
	for range 21 {
		if <-panics != nil {
			panicked++
		}
	}
	require.Equal(t, 1, panicked)
}

// Signatures are right with any number of threads, while they are profiled, while
// garbage is collected, and while callers come, go and yield all the time.
func TestStorms(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, threads := range []int{1, 2, 8} {
		t.Run(fmt.Sprint(threads, " threads"), func(t *testing.T) {
			runtime.GOMAXPROCS(threads)
			s := open(t)
			require.Equal(t, threads, s.limit)
			require.NoError(t, pprof.StartCPUProfile(io.Discard))
			defer pprof.StopCPUProfile()
			stop := make(chan struct{})
			var weather, callers sync.WaitGroup
			for _, blow := range []func(){runtime.Gosched, runtime.GC, func() { _ = make([]byte, 1<<20) }} {
				weather.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							blow()
						}
					}
				})
			}
			for i := range 64 {
				callers.Go(func() {
					for range amount(3, 100) {
						signs(t, s)
						if i%2 == 0 { // half of them end, and others come
							var next sync.WaitGroup
							next.Go(func() { signs(t, s) })
							next.Wait()
						}
					}
				})
			}
			callers.Wait()
			close(stop)
			weather.Wait()
			requireIdle(t, s)
			require.Zero(t, Faults())
		})
	}
}

// Of a key nothing is left in memory once its signer is garbage.
func TestAKeyIsWiped(t *testing.T) {
	key := open(t).key
	require.Eventually(t, func() bool {
		runtime.GC()
		return key.gone.Load()
	}, 10*time.Second, time.Millisecond)
	require.Zero(t, *key.c)
	require.Zero(t, *key.check)
	require.Zero(t, *key.d)
	require.Zero(t, *key.f)
	require.Zero(t, key.p)
	require.Zero(t, key.q)
}
