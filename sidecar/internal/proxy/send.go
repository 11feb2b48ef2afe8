package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

const interimLimit = 16 // 1xx answers before the real one

// answered is an upstream's answer whose head was read. The head is a view
// into the reader's buffer until the next read.
type answered struct {
	guard.Answer
	upstream.Line                           // over HTTP/1.1
	stream        *stream                   // over HTTP/2; else nil
	released      bool                      // the line is
	size          int                       // bytes of the head
	certain       bool                      // where it ends
	agreed        guard.Switch              // of a 101
	filter        func(io.Reader) io.Reader // of a body that comes in events; nil: none
	body          []byte                    // that was read, and perhaps filtered
	whole         bool                      // body is all of it
}

// send writes the request and reads the head of the answer into x. A failed
// attempt is repeated once, if not one byte of it went out, at another server
// if there is one. One that was too slow to connect is not tried twice.
func (p *Proxy) send(x *exchange) *refusal {
	var tried *upstream.Server
	attempt := (*exchange).attempt
	if x.upstream.HTTP2() {
		attempt = (*exchange).attemptStream
		x.answer = answered{stream: x.newStream()}
		p.live(x)
	}
	for again := true; ; again = false {
		server, o, err := attempt(x, tried)
		tried = server
		if o == unconnected {
			again = again && tried != nil && !errors.Is(err, upstream.ErrBusy) && (!timedOut(err) || x.upstream.Alternative(tried))
		}
		switch {
		case err == nil:
			return nil
		case again && o != spent:
			continue
		case x.answer.stream != nil:
			x.answer.stream.end()
		}
		switch {
		case x.left():
			return clientGone
		case o == unconnected:
			return unreachable(err)
		}
		return failed(&x.body, err)
	}
}

// outcome is how far an attempt that failed came.
type outcome int

const (
	spent       outcome = iota // some of the request may have arrived
	unsent                     // nothing did
	unconnected                // there was no connection for it
)

// attempt makes one attempt over HTTP/1.1, at another server than avoid if it can.
func (x *exchange) attempt(avoid *upstream.Server) (*upstream.Server, outcome, error) {
	l, err := x.upstream.Acquire(avoid)
	if err != nil {
		return l.Server, unconnected, err
	}
	x.server = l.URL()
	x.answer = answered{Line: l}
	x.owe()
	if err = write(x); err == nil {
		err = readHead(x)
	}
	if err == nil {
		return l.Server, spent, nil
	}
	o := spent
	if l.Conn.Sent() == 0 && !x.body.touched {
		o = unsent
	}
	x.release(&x.answer, false)
	return l.Server, o, err
}

// left reports whether the server noticed that the client left.
func (x *exchange) left() bool { return x.edge.context().Err() != nil && x.proxy.ctx.Err() == nil }

// closer ends whatever waits for the upstream.
func (a *answered) closer() io.Closer {
	if a.stream != nil {
		return a.stream
	}
	return a.Conn
}

func unreachable(err error) *refusal {
	var down *upstream.Unavailable
	switch {
	case errors.As(err, &down):
		r := *upstreamUnavailable
		r.retryAfter = max(down.RetryAfter, time.Second)
		return &r
	case errors.Is(err, upstream.ErrBusy):
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

// write sends head and body in as few writes as they need. A head without a body
// goes out with the read of its answer.
func write(x *exchange) error {
	if x.body.from == nil {
		x.asking = x.appendHead(x.asking[:0], x.answer.Authority())
		return x.answer.Conn.Ask(x.asking, x.firstWait())
	}
	w := x.answer.Writer()
	defer x.answer.ReturnWriter(w)
	if _, err := w.Write(x.appendHead(w.AvailableBuffer(), x.answer.Authority())); err != nil {
		return err
	}
	if x.body.long {
		x.proxy.live(x)
	}
	if err := x.body.copyTo(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return x.answer.Conn.Await(x.firstWait())
}

// patience is how long the answer's head may take.
func (x *exchange) patience() time.Duration { return or(x.match.Route.Timeout, x.upstream.Timeout()) }

// firstWait is how long the answer's head is awaited at first: of an exchange that
// is not watched yet, until it is to be.
func (x *exchange) firstWait() time.Duration {
	if x.live != nil {
		return x.patience()
	}
	return min(x.patience(), liveAfter)
}

var errUpgrade = errors.New("the upstream switched protocols unasked")

// readHead reads interim answers away and the head of the final one. An
// exchange that has to wait for it is judged again meanwhile.
func readHead(x *exchange) error {
	a, limit := &x.answer, x.patience()
	for range interimLimit {
		head, err := peekHead(a.Reader)
		if err != nil && timedOut(err) && x.live == nil && limit > liveAfter {
			if err := a.Conn.Await(limit - liveAfter); err != nil {
				return err
			}
			x.proxy.live(x)
			head, err = peekHead(a.Reader)
		}
		if err != nil {
			return err
		}
		if err := guard.ReadAnswer(head, &a.Answer); err != nil {
			return err
		}
		a.size = len(head)
		if a.Status == 101 {
			if !x.switches() {
				return errUpgrade
			}
			return nil
		}
		if a.Status >= 200 {
			a.Conn.Answered()
			return nil
		}
		if _, err := a.Reader.Discard(a.size); err != nil {
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
