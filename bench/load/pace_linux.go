package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pacer waits until moments that may be microseconds away. The runtime's own
// timers are rounded up to a millisecond when nothing else is to do, which
// would show in every latency of an open loop.
type pacer struct {
	timer *os.File // a timerfd in the runtime's poller; nil: the system has none
	fd    int
}

func newPacer() *pacer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &pacer{}
	}
	return &pacer{timer: os.NewFile(uintptr(fd), "timer"), fd: fd}
}

// until returns at once for a moment that has passed.
func (p *pacer) until(t time.Time) {
	wait := time.Until(t)
	if wait <= 0 {
		return
	}
	if p.timer == nil {
		time.Sleep(wait)
		return
	}
	setting := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	var expirations [8]byte
	if unix.TimerfdSettime(p.fd, 0, &setting, nil) == nil {
		if _, err := p.timer.Read(expirations[:]); err == nil {
			return
		}
	}
	time.Sleep(time.Until(t))
}

func (p *pacer) close() {
	if p.timer != nil {
		_ = p.timer.Close() // nothing is written to it
	}
}
