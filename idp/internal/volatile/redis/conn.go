package redis

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

// What a reply may announce. The library allocates what is announced, and
// descends as deep, before it looks at the rest.
const (
	maxElements = 1 << 15 // a list: more than the slots of a cluster
	maxString   = volatile.MaxValue + 4096
	maxLine     = 4096
	maxDepth    = 8
	maxTotal    = 1 << 18 // elements of one reply, whatever their depth
)

// dial connects to one server, whose replies are bounded.
func (t *target) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: max(dialTimeout, t.budget), KeepAlive: time.Minute}
	if t.tls {
		// The server's name is that of the address.
		conn, err := (&tls.Dialer{NetDialer: dialer, Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.authorities}}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &boundedConn{Conn: conn}, nil
	}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	raw, _ := conn.(syscall.Conn) // TCP and Unix have one; the library looks whether they still live
	return struct {
		*boundedConn
		syscall.Conn
	}{&boundedConn{Conn: conn}, raw}, nil
}

// boundedConn fails when the server announces more than an answer has, or
// speaks something else than Redis. Read is called by one goroutine at a time.
type boundedConn struct {
	net.Conn
	line []byte // of a header, as far as read
	skip int    // bytes of a string to come

	open     []int // elements to come of the aggregates begun one inside the other
	elements int   // announced by all aggregates of the reply so far
}

func (c *boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.inspect(p[:n]) {
		return 0, errReply
	}
	return n, err
}

func (c *boundedConn) inspect(data []byte) bool {
	for len(data) > 0 {
		if c.skip > 0 {
			passed := min(c.skip, len(data))
			c.skip, data = c.skip-passed, data[passed:]
			continue
		}
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if c.line = append(c.line, line...); len(c.line) > maxLine {
			return false
		}
		if data = rest; !whole {
			return true
		}
		if !c.header(bytes.TrimSuffix(c.line, []byte("\r"))) {
			return false
		}
		c.line = c.line[:0]
	}
	return true
}

// header takes one line of RESP 2 or 3 outside of a string.
func (c *boundedConn) header(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	n, err := strconv.Atoi(string(line[1:]))
	switch line[0] {
	case '*', '%', '~', '>', '|':
		return err == nil && c.list(line[0], n)
	case '$', '=', '!':
		if n >= 0 {
			c.skip = n + len("\r\n")
		}
		c.leaf()
		return err == nil && n <= maxString
	case '+', '-', ':', '_', '#', ',', '(':
		c.leaf()
		return true
	}
	return false
}

// list takes the head of an aggregate of n elements, or n pairs. An attribute
// is no element of what it stands in: it comes before one.
func (c *boundedConn) list(kind byte, n int) bool {
	if n > maxElements {
		return false
	}
	if kind == '%' || kind == '|' {
		n *= 2
	}
	if kind != '|' {
		c.element()
	}
	if n > 0 {
		c.open = append(c.open, n)
		c.elements += n
	}
	c.finish()
	return len(c.open) <= maxDepth && c.elements <= maxTotal
}

// leaf takes a value that holds no others.
func (c *boundedConn) leaf() {
	c.element()
	c.finish()
}

// element counts a value in the aggregate that it stands in.
func (c *boundedConn) element() {
	if depth := len(c.open); depth > 0 {
		c.open[depth-1]--
	}
}

// finish leaves aggregates that are complete; outside of all the reply is over.
func (c *boundedConn) finish() {
	for len(c.open) > 0 && c.open[len(c.open)-1] == 0 {
		c.open = c.open[:len(c.open)-1]
	}
	if len(c.open) == 0 {
		c.elements = 0
	}
}
