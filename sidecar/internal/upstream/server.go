package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	bufferSize    = 16 << 10 // also bounds an answer's head
	maxStaleConns = 64       // dead pooled connections dropped for one request
)

// ErrBusy says that no connection became free in time.
var ErrBusy = errors.New("no free connection to the upstream")

// Server is one address of an upstream. fasthttp's HostClient pools its
// connections; requests and answers are written and read by others, because its
// own ones normalise the target, follow the parsed URI and hide what was sent.
type Server struct {
	ctx       context.Context // its end closes every connection
	upstream  *Upstream
	url       string
	authority string // Host of every request
	address   string
	tls       *tls.Config // nil: plain
	dialLimit time.Duration
	idleLimit time.Duration
	pool      *fasthttp.HostClient
	shared    *shared // instead of pool, of one that speaks HTTP/2; else nil
	inFlight  atomic.Int64
	health    health
}

func newServer(ctx context.Context, u *Upstream, target *url.URL, o *Options, connections int) *Server {
	s := &Server{
		ctx: ctx, upstream: u, url: target.Scheme + "://" + target.Host, authority: target.Host,
		dialLimit: o.DialTimeout, idleLimit: o.IdleTimeout, health: newHealth(),
	}
	port := "80"
	if target.Scheme == "https" {
		port = "443"
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			s.tls = o.TLS.Clone()
		}
		if s.tls.ServerName == "" {
			s.tls.ServerName = target.Hostname()
		}
		s.tls.NextProtos = []string{"http/1.1"}
		if u.spec.HTTP2 {
			s.tls.NextProtos = []string{"h2"}
		}
	}
	if target.Port() != "" {
		port = target.Port()
	}
	s.address = net.JoinHostPort(target.Hostname(), port)
	s.pool = &fasthttp.HostClient{
		Addr: s.address, DialTimeout: s.connect, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		MaxConns: connections, MaxConnWaitTimeout: o.Wait, MaxIdleConnDuration: o.KeepAlive, ConnPoolStrategy: fasthttp.LIFO,
		SecureErrorLogMessage: true,
	}
	if u.spec.HTTP2 {
		s.shared = newShared(s, o, connections)
	}
	return s
}

// URL is http://host[:port] or https://host[:port].
func (s *Server) URL() string { return s.url }

// Line is one connection to a server for the time of one exchange. Release it once.
type Line struct {
	*Server // also of a line that could not be had
	Conn    *Conn
	Reader  *bufio.Reader // of answers; gone with the release
}

// Authority is the Host that requests have.
func (l *Line) Authority() string { return l.authority }

// Writer lends a buffer for the request.
func (l *Line) Writer() *bufio.Writer { return l.pool.AcquireWriter(l.Conn) }

// ReturnWriter takes the buffer back.
func (l *Line) ReturnWriter(w *bufio.Writer) { l.pool.ReleaseWriter(w) }

// Release ends the exchange. reuse: the connection can take another.
func (l *Line) Release(reuse bool) {
	l.pool.ReleaseReader(l.Reader)
	if reuse {
		l.health.served()
	}
	l.Conn.release(reuse && !l.upstream.retired.Load())
	l.inFlight.Add(-1)
}

// acquire takes an idle connection that is alive and has said nothing since its
// last answer, or dials.
func (s *Server) acquire() (Line, error) {
	s.inFlight.Add(1)
	conn, err := s.conn()
	if err != nil {
		s.inFlight.Add(-1)
		if errors.Is(err, fasthttp.ErrNoFreeConns) {
			err = ErrBusy
		}
		return Line{Server: s}, err
	}
	return Line{Server: s, Conn: conn, Reader: s.pool.AcquireReader(conn)}, nil
}

func (s *Server) conn() (*Conn, error) {
	for range maxStaleConns {
		pooled, err := s.pool.AcquireConn(0, false)
		if err != nil {
			return nil, err
		}
		conn, ours := pooled.Conn().(*Conn)
		if !ours {
			s.pool.CloseConn(pooled)
			return nil, errors.New("a connection that was not dialled here")
		}
		if conn.used && !conn.quiet() {
			s.pool.CloseConn(pooled)
			continue
		}
		conn.sent, conn.request, conn.used = 0, nil, true
		if conn.release == nil {
			conn.release = func(reuse bool) {
				if reuse {
					s.pool.ReleaseConn(pooled)
				} else {
					s.pool.CloseConn(pooled)
				}
			}
		}
		return conn, nil
	}
	return nil, io.ErrUnexpectedEOF
}

// connect dials for the pool and learns from it. fasthttp's own timeout is ignored.
func (s *Server) connect(string, time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.dialLimit)
	defer cancel()
	conn, err := s.dial(ctx)
	switch {
	case err == nil:
		s.health.served()
		return conn, nil
	case s.ctx.Err() == nil:
		s.connectFailed(err)
	}
	return nil, err
}

// socket connects.
func (s *Server) socket(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
}

// secure speaks TLS over a socket, which it closes when it cannot.
func (s *Server) secure(ctx context.Context, socket net.Conn) (*tls.Conn, error) {
	secured := tls.Client(socket, s.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = socket.Close() // the handshake's error is the one that counts
		return nil, err
	}
	return secured, nil
}

// dial connects, with TLS when the server speaks it.
func (s *Server) dial(ctx context.Context) (*Conn, error) {
	socket, err := s.socket(ctx)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: socket, limit: s.idleLimit}
	c.forget = context.AfterFunc(s.ctx, func() { _ = socket.Close() }) // whoever waits on it learns so
	if raw, ok := socket.(syscall.Conn); ok {
		c.raw, _ = raw.SyscallConn() // nil with an error
	}
	if s.tls == nil {
		c.direct.Open(socket)
		return c, nil
	}
	secured, err := s.secure(ctx, socket)
	if err != nil {
		c.forget()
		return nil, err
	}
	c.Conn = secured
	return c, nil
}
