//go:build !linux

package lab

import (
	"errors"
	"time"
)

// CPU is not known here.
func CPU(int) (time.Duration, error) {
	return 0, errors.New("the processor time of a process is read on Linux only")
}
