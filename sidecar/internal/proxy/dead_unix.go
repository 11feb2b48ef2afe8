//go:build unix

package proxy

import (
	"errors"
	"syscall"
)

// dead asks the kernel whether the upstream ended an idle connection, or said
// something that nobody asked for. It reads nothing.
func (c *upstreamConn) dead() bool {
	if c.raw == nil {
		return false
	}
	alive := false
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || !alive
}
