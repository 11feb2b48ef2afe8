package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// watch puts around an accepted connection what watches what the parsed head no
// longer shows: how the request line ended.
func watch(inner net.Conn) net.Conn {
	w := &watched{Conn: inner}
	if tcp, ok := inner.RemoteAddr().(*net.TCPAddr); ok {
		w.peer = tcp.AddrPort().Addr().Unmap().WithZone("")
		w.peerText = w.peer.String()
	}
	return w
}

// watched is a client's connection, above the shared edge's own and above TLS. Plain fields
// are of the goroutine that serves it; Close may come from any.
type watched struct {
	net.Conn
	peer     netip.Addr // invalid when it has no IP address
	peerText string
	hostText string // Host of its latest request
	line     lineWatch
	ended    bool      // the client sent its last byte
	waiting  *exchange // judged, and its body asked for with 100 Continue
	tunnel   *tunnel   // takes the connection over
}

// NetConn gives what it wraps, as tls.Conn does.
func (c *watched) NetConn() net.Conn { return c.Conn }

func (c *watched) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.line.read(p[:n])
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

// watchedOf finds our connection; nil on another listener's.
func watchedOf(c net.Conn) *watched {
	for c != nil {
		if w, ours := c.(*watched); ours {
			return w
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = wrapper.NetConn()
	}
	return nil
}

// state follows fasthttp through the requests of a connection. Between idle and
// active it reads exactly when nothing of the next request was read before.
func state(c net.Conn, s fasthttp.ConnState) {
	w := watchedOf(c)
	switch {
	case w == nil:
	case s == fasthttp.StateClosed && w.tunnel != nil:
		w.tunnel.abandon()
	case s == fasthttp.StateIdle:
		w.line.phase = between
	case s == fasthttp.StateActive && w.line.phase == between:
		w.line.phase, w.line.pipelined = behind, true
	}
}

// Phases of a lineWatch. The zero value is before.
const (
	before  = iota // the request line
	within         // it
	behind         // it, in fields, body or what was pipelined
	between        // two requests
)

// lineEnd is how a request line ends that the guard would accept; a bare one has
// its LF right behind it.
const lineEnd = " HTTP/1.1"

// lineWatch sees the bytes of a connection in the pieces in which they are
// read. Where a pipelined head starts inside a piece it cannot know: then any
// bare request line since the last known start counts.
type lineWatch struct {
	phase     int
	last      byte
	bare      bool // the line, or an empty one before it, ended in a bare LF
	pipelined bool
	later     bool // a bare request line came behind
	tail      [len(lineEnd)]byte
}

// refused reports whether the request line of the current head ended badly.
func (w *lineWatch) refused() bool { return w.bare || w.pipelined && w.later }

func (w *lineWatch) read(p []byte) {
	if len(p) == 0 {
		return
	}
	if w.phase == between {
		*w = lineWatch{}
	}
	for w.phase == before && len(p) > 0 {
		switch p[0] {
		case '\r', '\n':
			w.bare = w.bare || p[0] == '\n' && w.last != '\r'
			w.last, p = p[0], p[1:]
		default:
			w.phase = within
		}
	}
	if w.phase == within {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			if len(p) > 0 {
				w.last = p[len(p)-1]
			}
			return
		}
		if end > 0 {
			w.last = p[end-1]
		}
		w.bare = w.bare || w.last != '\r'
		w.phase, p = behind, p[end+1:]
	}
	w.search(p)
}

// search looks for a bare request line in p and across its edge to the piece before.
func (w *lineWatch) search(p []byte) {
	if w.later || len(p) == 0 {
		return
	}
	for from := 0; !w.later; {
		length := bytes.IndexByte(p[from:], '\n')
		if length < 0 {
			break
		}
		w.later = w.ends(p[:from+length])
		from += length + 1
	}
	if len(p) >= len(w.tail) {
		copy(w.tail[:], p[len(p)-len(w.tail):])
		return
	}
	copy(w.tail[:], w.tail[len(p):])
	copy(w.tail[len(w.tail)-len(p):], p)
}

// ends reports whether tail and p together end in lineEnd.
func (w *lineWatch) ends(p []byte) bool {
	if len(p) >= len(lineEnd) {
		return string(p[len(p)-len(lineEnd):]) == lineEnd
	}
	here := len(lineEnd) - len(p) // of it stands in tail
	return string(p) == lineEnd[here:] && string(w.tail[len(w.tail)-here:]) == lineEnd[:here]
}
