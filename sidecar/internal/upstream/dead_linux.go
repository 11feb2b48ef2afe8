//go:build amd64 || arm64

package upstream

import (
	"syscall"
	"unsafe"
)

// idleSocket asks the kernel what there is to read from a socket. It is kept
// with the connection, so that asking allocates nothing.
type idleSocket struct {
	ask   func(fd uintptr)
	byte  [1]byte
	alive bool
}

// pending asks the kernel whether there is anything to read from an idle
// connection: bytes, its end, an error. It reads nothing.
func (c *Conn) pending() bool {
	s := &c.idle
	if s.ask == nil {
		s.ask = s.peek
	}
	s.alive = false
	return c.raw.Control(s.ask) != nil || !s.alive
}

// peek never waits, so the scheduler need not know of the call.
func (s *idleSocket) peek(fd uintptr) {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&s.byte)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0) //nolint:gosec // the call takes an address
	s.alive = errno == syscall.EAGAIN
}
