package httpx

import (
	"syscall"

	"github.com/valyala/fasthttp"
)

// Gone gives a function that reports whether the client closed its side of the
// connection, so that work nobody waits for can stop: fasthttp itself does not
// notice. It costs one system call, reads nothing, works below TLS, and answers
// false when it cannot tell. It is good until the handler returns, and
// while the server reads the stream that the handler gave as the answer's body.
func Gone(ctx *fasthttp.RequestCtx) func() bool {
	socket, ok := below[syscall.Conn](ctx.Conn())
	if !ok {
		return func() bool { return false }
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	return func() bool {
		gone := false
		err := raw.Control(func(fd uintptr) { gone = ended(fd) })
		return gone || err != nil // an error says that we closed the socket ourselves
	}
}
