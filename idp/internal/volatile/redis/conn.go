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
)

// dial connects to one server, whose replies are bounded.
func (t *target) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: time.Minute}
	if t.tls {
		// The server's name is that of the address.
		conn, err := (&tls.Dialer{NetDialer: dialer, Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, network, addr)
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
	line  []byte // of a header, as far as read
	skip  int    // bytes of a string to come
	depth int    // lists begun one inside the other
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
		c.depth++
		return err == nil && n <= maxElements && c.depth <= maxDepth
	case '$', '=', '!':
		c.depth = 0
		if n >= 0 {
			c.skip = n + len("\r\n")
		}
		return err == nil && n <= maxString
	case '+', '-', ':', '_', '#', ',', '(':
		c.depth = 0
		return true
	}
	return false
}
