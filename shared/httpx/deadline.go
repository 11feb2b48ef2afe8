package httpx

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// ReadDeadline is the read deadline of a connection that gets a new one with
// each request. Moving a socket's deadline costs more than reading a small
// request, so the socket keeps the one it has while that is earlier: it then
// wakes the reader, which looks here and reads on. The zero value has none. Once
// it is used, nobody else sets the socket's. It is safe for concurrent use.
type ReadDeadline struct {
	mu     sync.Mutex
	want   time.Time // zero: none; guarded by mu
	socket time.Time // what the socket has; zero: none; guarded by mu
}

// Set moves the deadline; the zero time is none.
func (d *ReadDeadline) Set(conn net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	if d.socket.IsZero() && t.IsZero() || !d.socket.IsZero() && (t.IsZero() || !t.Before(d.socket)) {
		return nil
	}
	d.socket = t
	return conn.SetReadDeadline(t)
}

// Early reports whether the error of a read says only that the socket woke too
// early: read again.
func (d *ReadDeadline) Early(conn net.Conn, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.want.IsZero() && time.Until(d.want) <= 0 {
		return false
	}
	d.socket = d.want
	return conn.SetReadDeadline(d.want) == nil
}
