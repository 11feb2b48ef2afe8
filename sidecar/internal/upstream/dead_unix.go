//go:build unix && !(linux && (amd64 || arm64))

package upstream

import (
	"errors"
	"syscall"
)

type idleSocket struct{}

// pending asks the kernel whether there is anything to read from an idle
// connection: bytes, its end, an error. It reads nothing.
func (c *Conn) pending() bool {
	alive := false
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || !alive
}
