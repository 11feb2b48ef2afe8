package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

const (
	answerBuffer  = 16 << 10 // also bounds an answer's head
	interimLimit  = 16       // 1xx answers before the real one
	maxStaleConns = 64       // dead pooled connections dropped for one request
)

// upstream owns the connections to the protected API. fasthttp's HostClient
// pools them; request and answer are written and read here, because its own
// ones normalise the target, follow the parsed URI and hide what was sent.
type upstream struct {
	Upstream
	ctx       context.Context // its end closes every connection
	authority string          // Host of every request
	address   string
	tls       *tls.Config // nil: plain
	pool      *fasthttp.HostClient
}

func newUpstream(ctx context.Context, o Upstream) *upstream {
	target, err := parseUpstream(o.URL)
	if err != nil {
		target = &url.URL{} // Options.check refused it before
	}
	u := &upstream{Upstream: o, ctx: ctx, authority: target.Host}
	port := target.Port()
	if target.Scheme == "https" {
		port = or(port, "443")
		u.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			u.tls = o.TLS.Clone()
		}
		u.tls.ServerName = or(u.tls.ServerName, target.Hostname())
		u.tls.NextProtos = []string{"http/1.1"}
	}
	u.address = net.JoinHostPort(target.Hostname(), or(port, "80"))
	u.pool = &fasthttp.HostClient{
		Addr: u.address, DialTimeout: u.dial, ReadBufferSize: answerBuffer, WriteBufferSize: answerBuffer,
		MaxConns: o.MaxConns, MaxConnWaitTimeout: o.Wait, MaxIdleConnDuration: o.KeepAlive, ConnPoolStrategy: fasthttp.LIFO,
		SecureErrorLogMessage: true,
	}
	return u
}

// line is one connection to the upstream for the time of one exchange.
type line struct {
	conn    *upstreamConn
	reader  *bufio.Reader
	release func(reuse bool) // once; the reader is gone then
}

// acquire takes an idle connection that is alive and has said nothing since its
// last answer, or dials.
func (u *upstream) acquire() (line, error) {
	for range maxStaleConns {
		pooled, err := u.pool.AcquireConn(0, false)
		if err != nil {
			return line{}, err
		}
		conn, ours := pooled.Conn().(*upstreamConn)
		if !ours {
			u.pool.CloseConn(pooled)
			return line{}, errors.New("a connection that was not dialled here")
		}
		if conn.used && !conn.quiet() {
			u.pool.CloseConn(pooled)
			continue
		}
		conn.sent, conn.used = 0, true
		reader := u.pool.AcquireReader(conn)
		return line{conn: conn, reader: reader, release: func(reuse bool) {
			u.pool.ReleaseReader(reader)
			if reuse {
				u.pool.ReleaseConn(pooled)
			} else {
				u.pool.CloseConn(pooled)
			}
		}}, nil
	}
	return line{}, io.ErrUnexpectedEOF
}

// answered is an upstream's answer whose head was read. The head is a view
// into the reader's buffer until the next read.
type answered struct {
	guard.Answer
	line
	size    int  // bytes of the head
	certain bool // where it ends
}

// send writes the request and reads the head of the answer into x. A failed
// attempt is repeated once, if not one byte of it went out.
func (u *upstream) send(x *exchange) *refusal {
	for attempt := 0; ; attempt++ {
		l, err := u.acquire()
		if err != nil {
			if attempt == 0 && !errors.Is(err, fasthttp.ErrNoFreeConns) && !timedOut(err) {
				continue
			}
			return unreachable(err)
		}
		x.answer = answered{line: l}
		if err = u.write(x); err == nil {
			err = u.readHead(x)
		}
		if err == nil {
			return nil
		}
		fresh := l.conn.sent == 0 && !x.body.touched
		l.release(false)
		if attempt > 0 || !fresh {
			return failed(&x.body, err)
		}
	}
}

func unreachable(err error) *refusal {
	switch {
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return upstreamBusy
	case timedOut(err):
		return upstreamSilent
	}
	return upstreamDown
}

// failed says whose fault it is that no answer came.
func failed(body *bodySource, err error) *refusal {
	if body.err != nil {
		return body.refusal()
	}
	switch {
	case errors.Is(err, guard.ErrAnswer):
		return upstreamBad
	case errors.Is(err, errUpgrade):
		return upstreamUpgrade
	case timedOut(err):
		return upstreamSilent
	}
	return upstreamClosed
}

func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// write sends head and body in as few writes as they need.
func (u *upstream) write(x *exchange) error {
	w := u.pool.AcquireWriter(x.answer.conn)
	defer u.pool.ReleaseWriter(w)
	if _, err := w.Write(x.appendHead(w.AvailableBuffer(), u.authority)); err != nil {
		return err
	}
	if x.body.long {
		x.proxy.live(x)
	}
	if err := x.body.copyTo(w); err != nil {
		return err
	}
	return w.Flush()
}

var errUpgrade = errors.New("the upstream switched protocols unasked")

// readHead reads interim answers away and the head of the final one. An
// exchange that has to wait for it is judged again meanwhile.
func (u *upstream) readHead(x *exchange) error {
	a := &x.answer
	if err := a.conn.await(min(u.AnswerTimeout, liveAfter)); err != nil {
		return err
	}
	for range interimLimit {
		head, err := peekHead(a.reader)
		if timedOut(err) && x.live == nil && u.AnswerTimeout > liveAfter {
			if err := a.conn.await(u.AnswerTimeout - liveAfter); err != nil {
				return err
			}
			x.proxy.live(x)
			head, err = peekHead(a.reader)
		}
		if err != nil {
			return err
		}
		if err := guard.ReadAnswer(head, &a.Answer); err != nil {
			return err
		}
		if a.Status == 101 {
			return errUpgrade
		}
		a.size = len(head)
		if a.Status >= 200 {
			a.conn.idle()
			return nil
		}
		if _, err := a.reader.Discard(a.size); err != nil {
			return err
		}
	}
	return guard.ErrAnswer
}

var headEnd = []byte("\r\n\r\n")

// peekHead is the next head, still in the buffer.
func peekHead(r *bufio.Reader) ([]byte, error) {
	for seen := 0; ; {
		buffered, err := r.Peek(r.Buffered())
		if err != nil {
			return nil, err
		}
		if end := bytes.Index(buffered[max(0, seen-3):], headEnd); end >= 0 {
			return buffered[:max(0, seen-3)+end+4], nil
		}
		seen = len(buffered)
		if seen == r.Size() {
			return nil, guard.ErrAnswer
		}
		if _, err := r.Peek(seen + 1); err != nil {
			return nil, err
		}
	}
}
