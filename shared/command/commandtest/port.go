package commandtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// ports are those that this process has taken, by their locks.
var ports struct {
	sync.Mutex
	locks map[int]*os.File // guarded by Mutex; they are held until the process ends
}

// firstPort is the first of 10,000 ports that any test may take. Below 30,000 no
// outgoing connection takes a port meanwhile, so that it is still free after a restart.
const firstPort = 10_000

// FreePort is one of the 10,000 ports from first on. It is given out once, also
// among the processes whose tests run side by side: each locks what it takes.
func FreePort(t testing.TB, first int) int {
	t.Helper()
	port, err := portFrom(first)
	require.NoError(t, err)
	return port
}

// Port is a FreePort for what has no test at hand.
func Port() (int, error) { return portFrom(firstPort) }

func portFrom(first int) (int, error) {
	for range 1000 {
		if port := first + rand.IntN(10_000); TakePort(port) {
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

// TakePort takes that very port, and reports whether it was free.
func TakePort(port int) bool {
	ports.Lock()
	defer ports.Unlock()
	if ports.locks[port] != nil {
		return false
	}
	folder := filepath.Join(os.TempDir(), fmt.Sprintf("agentidp-ports-%d", os.Getuid()))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return false
	}
	lock, err := os.OpenFile(filepath.Join(folder, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false
	}
	listener, err := func() (net.Listener, error) {
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return nil, err
		}
		return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}()
	if err != nil || listener.Close() != nil {
		_ = lock.Close()
		return false
	}
	if ports.locks == nil {
		ports.locks = map[int]*os.File{}
	}
	ports.locks[port] = lock
	return true
}
