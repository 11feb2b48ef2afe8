package lab

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a thread did is not forgotten when it ends.
func TestWhatEndedThreadsUsedIsRead(t *testing.T) {
	before, err := CPU(os.Getpid())
	require.NoError(t, err)
	const each = 50 * time.Millisecond
	ids := make(chan int, 2)
	var both sync.WaitGroup
	both.Add(2)
	for range 2 { // one may be the first thread, which does not end before the process
		go func() {
			runtime.LockOSThread() // and not unlocked: the thread ends with it
			both.Done()
			both.Wait()
			for began := ofThread(); ofThread()-began < each; {
				_ = strings.Repeat("x", 1000)
			}
			ids <- syscall.Gettid()
		}()
	}
	id := <-ids
	if other := <-ids; id == os.Getpid() {
		id = other
	}
	require.Eventually(t, func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", id))
		return os.IsNotExist(err)
	}, 10*time.Second, time.Millisecond)
	after, err := CPU(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after-before, 2*each)
}

// ofThread is the processor time of the thread that asks.
func ofThread() time.Duration {
	var at unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at) // there is always one
	return time.Duration(at.Nano())
}
