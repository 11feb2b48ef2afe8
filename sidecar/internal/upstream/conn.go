package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/shared/httpx"
)

// Conn gives each read and write its own deadline, so that a long body
// may take long and a silent upstream may not. One goroutine at a time; Close
// may come from any.
type Conn struct {
	net.Conn
	raw     syscall.RawConn   // the socket's, below TLS; nil: cannot be asked
	idle    idleSocket        // asked through raw
	direct  httpx.NonBlocking // to and from Conn; of TLS nothing
	request []byte            // for the next Read to send
	cut     error             // why only a part of it went out; nothing is an answer to that
	used    bool              // had a request before
	limit   time.Duration     // of one read or write; of a write at times half of it
	reads   httpx.ReadDeadline
	writes  time.Time        // deadline of writes
	sent    int64            // bytes of the current request that the kernel took
	waiting bool             // the read deadline is that of the answer's head
	ended   bool             // the upstream sent its last byte
	forget  func() bool      // ends the watch for the proxy's end
	release func(reuse bool) // gives it back to its pool
}

// Sent counts the bytes of the current request that the kernel took.
func (c *Conn) Sent() int64 { return c.sent }

// Ended reports whether the upstream has sent its last byte.
func (c *Conn) Ended() bool { return c.ended }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (c *Conn) Write(p []byte) (int, error) {
	if time.Until(c.writes) <= c.limit/2 { // a deadline is a timer to move: not with each request
		c.writes = time.Now().Add(c.limit)
		if err := c.Conn.SetWriteDeadline(c.writes); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Write(p)
	c.sent += int64(n)
	return n, err
}

// Ask hands over a whole request without a body. The Read that follows sends it
// and waits for its answer in one visit to the socket: a read right behind a write
// finds nothing, a system call for nothing. Until then the bytes must stay as they
// are. limit is that of Await.
func (c *Conn) Ask(request []byte, limit time.Duration) error {
	c.request = request
	return c.Await(limit)
}

// receive reads, once a request that waits for it is sent.
func (c *Conn) receive(p []byte) (int, error) {
	if c.cut != nil {
		return 0, c.cut
	}
	if request := c.request; request != nil {
		c.request = nil
		sent, n, err := c.direct.Ask(request, p)
		c.sent += int64(sent)
		if sent == len(request) {
			return n, err
		}
		if _, err := c.Write(request[sent:]); err != nil {
			c.cut = err
			return 0, err
		}
	}
	if n, err := c.direct.Receive(p); n > 0 || err != nil {
		return n, err
	}
	return c.Conn.Read(p)
}

func (c *Conn) Read(p []byte) (int, error) {
	if !c.waiting {
		if err := c.reads.Set(c.Conn, time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	n, err := c.receive(p)
	for n == 0 && err != nil && c.cut == nil && c.reads.Early(c.Conn, err) {
		n, err = c.receive(p)
	}
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

// Await sets one deadline for everything up to the end of the answer's head.
func (c *Conn) Await(limit time.Duration) error {
	c.waiting = true
	return c.reads.Set(c.Conn, time.Now().Add(limit))
}

// Answered goes back to a deadline for each read.
func (c *Conn) Answered() { c.waiting = false }

// quiet reports that an idle connection is alive and that the upstream said
// nothing which nobody asked for: what waits would be taken for the answer to
// the next request.
func (c *Conn) quiet() bool {
	if c.raw == nil || c.pending() {
		return false
	}
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	// TLS may hold records that the kernel has no more. Past its deadline a read
	// gives those only; the next exchange sets its own.
	if c.reads.Set(secured, time.Unix(1, 0)) != nil {
		return false
	}
	var b [1]byte
	n, err := secured.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
