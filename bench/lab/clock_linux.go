package lab

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPID    = 1 << 22 // PID_MAX_LIMIT of the kernel
	scheduler = 2       // CPUCLOCK_SCHED: what the scheduler counted, in nanoseconds
)

// CPU is the processor time of a process so far, that of its ended threads with it:
// its clock, as clock_getcpuclockid(3) names it.
func CPU(pid int) (time.Duration, error) {
	if pid <= 0 || pid > maxPID {
		return 0, fmt.Errorf("process %d: there is none", pid)
	}
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &at); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(at.Nano()), nil
}
