package httpx

import (
	"net"
	"time"
)

// Interrupt ends what is being read from a client and written to it: nothing is
// read any more, but what is written next has its time again. It may come from
// any goroutine, and works below TLS, whose client can then be answered only if
// no record was cut.
func Interrupt(client net.Conn) {
	socket := Socket(client)
	// A socket that is closed already needs neither. A read deadline would not do:
	// the server may just be setting its own.
	if half, ok := socket.(interface{ CloseRead() error }); ok {
		_ = half.CloseRead()
	}
	_ = socket.SetWriteDeadline(time.Unix(1, 0))
	if c, ours := below[*conn](client); ours {
		c.stale.Store(true) // after the deadline: before, a write could set its own first
	}
}
