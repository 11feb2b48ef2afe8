//go:build amd64 || arm64

package httpx

import (
	"io"
	"net"
	"os"
	"syscall"
)

// NonBlocking moves bytes to and from a TCP socket by calls that never wait, of which
// the scheduler need not know: around such a small one its share is as large as
// the socket's. What has to wait, waits where net.Conn's own does, with its
// deadlines. The zero value does nothing and leaves all to net.Conn; so does what
// is no TCP socket. One goroutine at a time sends, and one receives; Ask is both.
type NonBlocking struct {
	raw        syscall.RawConn       // nil: cannot be used
	give       func(fd uintptr)      // kept, so that a call allocates nothing
	take, trip func(fd uintptr) bool // likewise
	out, in    []byte
	sent, got  int
	asked      bool
	failed     error // of receiving: the kernel tells it once
}

// most is what one call moves: it must not hold a processor for long.
const most = 32 << 10

// Open makes s that of conn, if it is a TCP socket itself.
func (s *NonBlocking) Open(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		s.raw, s.give, s.take, s.trip = raw, s.sendOnce, s.receive, s.exchange
	}
}

// Send gives the socket what it takes at once and returns how much that was. Why
// it was less is for a Write of the rest to find out.
func (s *NonBlocking) Send(p []byte) int {
	if s.raw == nil || len(p) == 0 || len(p) > most {
		return 0
	}
	s.out, s.sent = p, 0
	_ = s.raw.Control(s.give) // a closed one takes nothing
	s.out = nil
	return s.sent
}

// Receive waits until there is something to read, until the read deadline at
// most, and reads it. Neither bytes nor an error is for Read to do.
func (s *NonBlocking) Receive(p []byte) (n int, err error) {
	if s.raw == nil || len(p) == 0 {
		return 0, nil
	}
	s.in, s.got, s.failed = p[:min(len(p), most)], 0, nil
	err = s.raw.Read(s.take)
	return s.received(err)
}

// Ask sends a request on a socket that has nothing to be read, and receives what
// comes then. It does not look for it before: a call for nothing. Of a request
// that the socket did not take whole, nothing is received.
func (s *NonBlocking) Ask(request, p []byte) (sent, n int, err error) {
	if s.raw == nil || len(request) == 0 || len(request) > most || len(p) == 0 {
		return 0, 0, nil
	}
	s.out, s.in, s.sent, s.got, s.failed, s.asked = request, p[:min(len(p), most)], 0, 0, nil, false
	err = s.raw.Read(s.trip)
	s.out = nil
	n, err = s.received(err)
	return s.sent, n, err
}

func (s *NonBlocking) received(waited error) (int, error) {
	s.in = nil
	switch {
	case s.got > 0:
		return s.got, nil
	case s.failed != nil:
		return 0, s.failed
	}
	return 0, waited
}

func (s *NonBlocking) sendOnce(fd uintptr) {
	n, errno := sendNow(fd, s.out)
	if errno == 0 {
		s.sent = n
	}
}

// receive is called before the wait and after it: with nothing there, it waits.
func (s *NonBlocking) receive(fd uintptr) (over bool) {
	n, errno := receiveNow(fd, s.in)
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno != 0:
		s.failed = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("recvfrom", errno)}
	case n == 0:
		s.failed = io.EOF
	default:
		s.got = n
	}
	return true
}

// exchange sends before the wait, after the socket was made ready to notice what
// arrives: no answer is missed.
func (s *NonBlocking) exchange(fd uintptr) (over bool) {
	if s.asked {
		return s.receive(fd)
	}
	s.asked = true
	s.sendOnce(fd)
	return s.sent < len(s.out)
}
