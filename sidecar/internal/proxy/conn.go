package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// upstreamConn gives each read and write its own deadline, so that a long body
// may take long and a silent upstream may not. One goroutine at a time.
type upstreamConn struct {
	net.Conn
	raw     syscall.RawConn // the socket's, below TLS; nil: cannot be asked
	used    bool            // had a request before
	limit   time.Duration   // of one read or write
	sent    int64           // bytes of the current request that the kernel took
	waiting bool            // the read deadline is that of the answer's head
	ended   bool            // the upstream sent its last byte
	forget  func() bool     // ends the watch for the proxy's end
}

// dial connects, with TLS when the upstream speaks it. fasthttp's own timeout is ignored.
func (u *upstream) dial(string, time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(u.ctx, u.DialTimeout)
	defer cancel()
	socket, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.address)
	if err != nil {
		return nil, err
	}
	c := &upstreamConn{Conn: socket, limit: u.IdleTimeout}
	c.forget = context.AfterFunc(u.ctx, func() { _ = socket.Close() }) // whoever waits on it learns so
	if s, ok := socket.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // nil with an error
	}
	if u.tls == nil {
		return c, nil
	}
	secured := tls.Client(socket, u.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.forget()
		_ = socket.Close() // the handshake's error is the one that counts
		return nil, err
	}
	c.Conn = secured
	return c, nil
}

// Close implements net.Conn.
func (c *upstreamConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (c *upstreamConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	c.sent += int64(n)
	return n, err
}

func (c *upstreamConn) Read(p []byte) (int, error) {
	if !c.waiting {
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

// await sets one deadline for everything up to the end of the answer's head.
func (c *upstreamConn) await(limit time.Duration) error {
	c.waiting = true
	return c.Conn.SetReadDeadline(time.Now().Add(limit))
}

// idle goes back to a deadline for each read.
func (c *upstreamConn) idle() { c.waiting = false }

// quiet reports that an idle connection is alive and that the upstream said
// nothing which nobody asked for: what waits would be taken for the answer to
// the next request.
func (c *upstreamConn) quiet() bool {
	if c.raw == nil || c.pending() {
		return false
	}
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	// TLS may hold records that the kernel has no more. Past its deadline a read
	// gives those only; the next exchange sets its own.
	if secured.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	var b [1]byte
	n, err := secured.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
