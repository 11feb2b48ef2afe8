package httpx

import (
	"net"
	"syscall"

	"github.com/valyala/fasthttp"
)

// Gone gives a function that reports whether the client closed its side of the
// connection, so that work nobody waits for can stop: fasthttp itself does not
// notice. It costs one system call, reads nothing, works below TLS, and answers
// false when it cannot tell. It is good until the handler returns.
func Gone(ctx *fasthttp.RequestCtx) func() bool {
	raw := socket(ctx.Conn())
	if raw == nil {
		return func() bool { return false }
	}
	return func() bool {
		gone := false
		err := raw.Control(func(fd uintptr) { gone = ended(fd) })
		return gone || err != nil // an error says that we closed the socket ourselves
	}
}

// socket finds the socket below TLS and other wrappers; nil if there is none.
func socket(c net.Conn) syscall.RawConn {
	for c != nil {
		if s, ok := c.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = wrapper.NetConn()
	}
	return nil
}
