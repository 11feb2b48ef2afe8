package clientauth

import (
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func niceness(t *testing.T) int {
	t.Helper()
	level, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	require.NoError(t, err)
	return 20 - level
}

// The thread of a hash steps behind, and no other thread with it.
func TestGently(t *testing.T) {
	before := niceness(t)
	for range 3 {
		within := 0
		gently(func() { within = niceness(t) })
		require.Equal(t, min(before+behind, 19), within)
		require.Equal(t, before, niceness(t))
	}
}

// Callers at once do not wait for each other's thread.
func TestGentlyAtOnce(t *testing.T) {
	const callers = 4
	var inside, done sync.WaitGroup
	inside.Add(callers)
	for range callers {
		done.Go(func() {
			gently(func() {
				inside.Done()
				inside.Wait()
			})
		})
	}
	done.Wait()
}
