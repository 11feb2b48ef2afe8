//go:build unix && !linux

package httpx

import (
	"errors"
	"syscall"
)

// ended peeks: no byte and no error is the end. Unread input hides it.
func ended(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == nil && n == 0 || errors.Is(err, syscall.ECONNRESET)
}
