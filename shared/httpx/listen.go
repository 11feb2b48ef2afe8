package httpx

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// ListenOptions bounds what a client can hold of a listener.
type ListenOptions struct {
	// MaxPerAddress bounds the open connections of one address (IPv6: of one
	// /64), 0 = no bound. Exempt addresses (trusted proxies) have none.
	MaxPerAddress int
	Exempt        []netip.Prefix

	// WriteTimeout is how long a client may take to accept 64 KiB of an answer,
	// default 30 s; at times half as long. There is no bound on a whole answer.
	WriteTimeout time.Duration

	TLS *tls.Config // serve TLS; reload certificates through its GetCertificate

	// Wrap is put around every connection, above TLS. What it returns must tell
	// by NetConn what it wraps.
	Wrap func(net.Conn) net.Conn
}

const (
	defaultWriteTimeout = 30 * time.Second
	keepAlive           = 60 * time.Second
	writeChunk          = 64 << 10

	// LingerTime is how long Linger waits for the other side to be done.
	LingerTime  = 2 * time.Second
	lingerBytes = 8 << 20
)

// Listener accepts TCP connections, counts them by address, and knows those
// that are open.
type Listener struct {
	net.Listener
	opts ListenOptions

	mu      sync.Mutex
	open    map[*conn]struct{}   // guarded by mu
	count   map[netip.Prefix]int // guarded by mu; of open, by address prefix
	refused atomic.Uint64
}

// Listen listens on a TCP address, with keep-alive probes each minute.
func Listen(addr string, opts ListenOptions) (*Listener, error) {
	config := net.ListenConfig{KeepAlive: keepAlive}
	inner, err := config.Listen(background, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, opts), nil
}

// NewListener bounds another listener.
func NewListener(inner net.Listener, opts ListenOptions) *Listener {
	opts.WriteTimeout = positive(opts.WriteTimeout, defaultWriteTimeout)
	return &Listener{Listener: inner, opts: opts, open: map[*conn]struct{}{}, count: map[netip.Prefix]int{}}
}

// Open is the number of open connections, hijacked ones included.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Refused counts the connections past MaxPerAddress.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// Accept implements net.Listener. Running out of file descriptors, and a
// connection that ended before it was accepted, are waited out.
func (l *Listener) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		inner, err := l.Listener.Accept()
		var passing interface{ Temporary() bool }
		if err != nil && errors.As(err, &passing) && passing.Temporary() {
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		if err != nil {
			return nil, err
		}
		c := l.add(inner)
		if c == nil {
			l.refuse(inner)
			continue
		}
		var accepted net.Conn = c
		if l.opts.TLS != nil {
			accepted = tls.Server(c, l.opts.TLS)
		}
		if l.opts.Wrap != nil {
			accepted = l.opts.Wrap(accepted)
		}
		return accepted, nil
	}
}

// add counts a connection; nil if its address has too many.
func (l *Listener) add(inner net.Conn) *conn {
	c := &conn{Conn: inner, listener: l, since: time.Now()}
	c.direct.Open(inner)
	address := addressOf(inner.RemoteAddr())
	if l.opts.MaxPerAddress > 0 && address.IsValid() && !within(address, l.opts.Exempt) {
		c.from = prefixOf(address)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.from.IsValid() {
		if l.count[c.from] >= l.opts.MaxPerAddress {
			return nil
		}
		l.count[c.from]++
	}
	l.open[c] = struct{}{}
	return c
}

const tooManyBody = `{"code":"RATE_LIMITED","message":"too many connections from this address","details":{}}`

var tooMany = []byte("HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n" + securityLines() +
	"Connection: close\r\nContent-Length: " + strconv.Itoa(len(tooManyBody)) + "\r\n\r\n" + tooManyBody)

// refuse answers, if it can do so at once, and closes.
func (l *Listener) refuse(inner net.Conn) {
	l.refused.Add(1)
	if l.opts.TLS == nil && inner.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = inner.Write(tooMany) // the client may be gone; nothing depends on it
	}
	_ = inner.Close() // of no use to anyone any more
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	if c.from.IsValid() {
		if l.count[c.from]--; l.count[c.from] == 0 {
			delete(l.count, c.from)
		}
	}
}

// cut closes the sockets of the open connections that which selects. Their
// servers then find them closed and let go of them.
func (l *Listener) cut(which func(*conn) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if which(c) {
			_ = c.Conn.Close() // closed by the other side or by us, it is closed
		}
	}
}

// conn is an accepted connection. Reads and writes are each of one goroutine at
// a time; Close may come from any.
type conn struct {
	net.Conn
	direct   NonBlocking // to and from Conn
	listener *Listener
	from     netip.Prefix // counted under; invalid if not counted
	since    time.Time
	closed   atomic.Bool
	unread   atomic.Bool // the client may still be sending what nobody will read
	heard    atomic.Bool // the client sent a byte
	lined    atomic.Bool // and a line break since our last write

	readUntil  ReadDeadline
	writeUntil time.Time   // write deadline; of the writing goroutine
	stale      atomic.Bool // the socket has another one

	window  time.Duration // > 0: reads are paced; of the reading goroutine
	minimum int
	got     int // bytes since the deadline was set
}

// NetConn gives the socket, as tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Read(p []byte) (int, error) {
	if c.window > 0 && c.got >= c.minimum {
		c.got = 0
		if err := c.readUntil.Set(c.Conn, time.Now().Add(c.window)); err != nil {
			return 0, err
		}
	}
	n, err := c.receive(p)
	for n == 0 && err != nil && c.readUntil.Early(c.Conn, err) {
		n, err = c.receive(p)
	}
	c.got += n
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if n > 0 && !c.lined.Load() && bytes.IndexByte(p[:n], '\n') >= 0 {
		c.lined.Store(true)
	}
	return n, err
}

func (c *conn) receive(p []byte) (int, error) {
	if n, err := c.direct.Receive(p); n > 0 || err != nil {
		return n, err
	}
	return c.Conn.Read(p)
}

// pace makes reads follow a Pace, from now until the next SetReadDeadline.
func (c *conn) pace(window time.Duration, minimum int) {
	c.window, c.minimum, c.got = window, minimum, minimum
}

// SetReadDeadline ends a pace: the server calls it before each request.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.window = 0
	return c.readUntil.Set(c.Conn, t)
}

// SetDeadline ends a pace as well: a hijacked connection has none.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Write gives each chunk a deadline, so that a long answer may take long but a
// client that does not read is let go. A deadline is a timer to move: one of
// which more than half is left does. What need not wait needs none.
func (c *conn) Write(p []byte) (written int, err error) {
	c.lined.Store(false)
	if written = c.direct.Send(p); written == len(p) {
		return written, nil
	}
	for {
		chunk := p[written:min(len(p), written+writeChunk)]
		if err := c.extend(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(chunk)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

func (c *conn) extend() error {
	timeout := c.listener.opts.WriteTimeout
	if stale := c.stale.Load() && c.stale.Swap(false); !stale && time.Until(c.writeUntil) > timeout/2 {
		return nil
	}
	c.writeUntil = time.Now().Add(timeout)
	return c.Conn.SetWriteDeadline(c.writeUntil)
}

// SetWriteDeadline gives way to Write's own deadlines.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeUntil = time.Time{}
	return c.Conn.SetWriteDeadline(t)
}

// Close is idempotent.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	defer c.listener.remove(c)
	if c.unread.Load() {
		Linger(c.Conn)
	}
	return c.Conn.Close()
}

// Linger says on the socket below c that we are done, and reads on until the
// other side is, for LingerTime or 8 MiB at most; c is closed next. Else the kernel
// resets a connection on which input is left, and a client that is still sending
// fails before it sees our answer (RFC 9112, section 9.6).
func Linger(c net.Conn) {
	socket := Socket(c)
	half, ok := socket.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || socket.SetReadDeadline(time.Now().Add(LingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, socket, lingerBytes) // whatever ends it, the connection is closed next
}

// connOf finds our connection below a request's; nil if it is another listener's.
func connOf(ctx *fasthttp.RequestCtx) *conn {
	c, _ := below[*conn](ctx.Conn())
	return c
}

// Secured reports whether the client speaks TLS to us.
func Secured(ctx *fasthttp.RequestCtx) bool {
	_, secured := below[*tls.Conn](ctx.Conn())
	return secured
}

// Socket is the connection at the bottom of c.
func Socket(c net.Conn) net.Conn {
	for {
		wrapper, wraps := c.(interface{ NetConn() net.Conn })
		if !wraps {
			return c
		}
		c = wrapper.NetConn()
	}
}

// below finds a T among a connection and what it wraps, as NetConn tells.
func below[T any](c net.Conn) (found T, ok bool) {
	for c != nil {
		if found, ok = c.(T); ok {
			return found, true
		}
		wrapper, wraps := c.(interface{ NetConn() net.Conn })
		if !wraps {
			break
		}
		c = wrapper.NetConn()
	}
	return found, false
}
