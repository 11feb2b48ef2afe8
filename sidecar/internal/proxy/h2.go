package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// h2 is the edge towards a client that speaks HTTP/2, by net/http.
type h2 struct {
	x      *exchange
	writer http.ResponseWriter
	asked  *http.Request
	stream *http.ResponseController
	grpc   bool
	taking atomic.Int64 // since when the client is given a piece of a stream, after the exchange's start; 0: it is not

	mu    sync.Mutex
	begun bool // guarded by mu: the answer's head is out
	ended bool // guarded by mu: cut off
}

// serveStream serves one request. What net/http refuses by itself does not come
// here: docs/sidecar names it.
func (p *Proxy) serveStream(w http.ResponseWriter, r *http.Request) {
	x := p.beginStream(w, r)
	defer func() { _ = x.Close() }() // its error is the recorder's, which counted it
	defer p.recoverStream(x)
	peer, bounded := x.client, x.client.IsValid() && !x.trusted() // whom trusted peers speak for comes later
	if !p.streams.enter(peer, bounded) {
		p.refuse(x, overloaded)
		return
	}
	defer p.streams.leave(peer, bounded)
	if r := p.judge(x); r != nil {
		p.refuse(x, r)
		return
	}
	p.forward(x)
}

// beginStream is begin for HTTP/2.
func (p *Proxy) beginStream(w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	*x = exchange{proxy: p, started: time.Now(), proto: "https", asking: x.asking}
	x.edge = &h2{x: x, writer: w, asked: r, stream: http.NewResponseController(w), grpc: grpcMedia(r.Header.Get("Content-Type"))}
	if from, known := r.Context().Value(peerKey{}).(*peer); known {
		x.client, x.record.Peer = from.address, from.text
	}
	x.number()
	x.request = guard.Request{Method: []byte(r.Method), Target: []byte(r.RequestURI), Protocol: []byte("HTTP/1.1"), Fields: appendFields(nil, r)}
	return x
}

// recoverStream turns a panic into a 500, as the edge of HTTP/1.1 does; an answer that
// had begun is broken off.
func (p *Proxy) recoverStream(x *exchange) {
	cause := recover()
	if cause == nil {
		return
	}
	e := x.edge.(*h2) //nolint:forcetypeassert // it is
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	p.Log.Error("panic in handler", "panic", fmt.Sprint(cause), "request_id", x.record.RequestID, "stack", string(debug.Stack()))
	x.abandon()
	if e.hasBegun() {
		panic(http.ErrAbortHandler)
	}
	p.refuse(x, internalError)
}

func (e *h2) context() context.Context { return e.asked.Context() }

// closes: other streams of the connection are requests for themselves.
func (e *h2) closes(bool) {}

func (e *h2) body() (io.Reader, error) {
	b := &h2Body{edge: e, left: e.x.proxy.MaxBody, window: e.x.proxy.BodyWindow, got: minPace}
	if e.grpc && e.x.upstream.HTTP2() && e.x.match.Route.RPC == nil {
		b.window = 0 // its messages come when they come; the stream's idle time is the bound
	}
	return b, nil
}

func (e *h2) unread() { _ = e.stream.SetReadDeadline(time.Unix(1, 0)) }

// cutShort: the end of a stream is explicit.
func (e *h2) cutShort() bool { return false }

// begin notes that the answer's head goes out.
func (e *h2) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun = true
	e.hurry()
}

func (e *h2) hasBegun() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.begun
}

// hurry gives an answer that was cut off on its way little time. mu is held.
func (e *h2) hurry() {
	if e.begun && e.ended {
		_ = e.stream.SetWriteDeadline(time.Now().Add(lastWords)) // then it is reset
	}
}

// last gives what is still to be written so long, or less when it was cut off.
// net/http writes on after the handler. Such a deadline resets the stream also
// when nothing is being written: while more is to come there is none.
func (e *h2) last(timeout time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.begun || !e.ended {
		_ = e.stream.SetWriteDeadline(time.Now().Add(timeout)) // it knows how
	}
}

func (e *h2) writeTimeout() time.Duration { return or(e.x.proxy.WriteTimeout, writeTimeout) }

// lastWords is how long a stream that was cut may take to say why. It is a
// variable for tests, as tunnelGrace is.
var lastWords = 100 * time.Millisecond

func (e *h2) watch() (gone func() bool, cut func()) {
	started, timeout := e.x.started, e.writeTimeout()
	gone = func() bool {
		since := e.taking.Load()
		return e.context().Err() != nil || since != 0 && time.Since(started)-time.Duration(since) > timeout
	}
	return gone, func() {
		e.unread()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ended = true
		e.hurry()
	}
}

func (e *h2) refuse(r *refusal) {
	h := e.writer.Header()
	clear(h)
	for _, field := range r.fields(e.x.record.RequestID) {
		h[http.CanonicalHeaderKey(field[0])] = []string{field[1]}
	}
	if e.grpc {
		e.refuseGRPC(r, h)
		return
	}
	body := r.body(e.x.record.DecisionID)
	h["Content-Length"] = []string{itoa(int64(len(body)))}
	e.last(min(e.writeTimeout(), refusalTimeout))
	e.writer.WriteHeader(r.status)
	_, _ = e.writer.Write(body) // a client that left has no use for it
	_ = e.stream.Flush()        // while it counts as a request: its client may have no room
}

// relay sends a body that is here already whole; any other as it comes.
func (e *h2) relay(a *answered) {
	x, h := e.x, e.writer.Header()
	copyHeader(h, a)
	h["X-Request-Id"] = []string{x.record.RequestID}
	body, here := a.here(x.request.Method)
	if !here {
		e.pass(a)
		return
	}
	body = bytes.Clone(body) // the view ends with the exchange
	x.record.BytesOut = int64(len(body))
	if r := x.complete(a); r != nil {
		x.proxy.refuse(x, r)
		return
	}
	switch {
	case a.Bodyless(x.request.Method) && a.Length >= 0:
		h["Content-Length"] = []string{itoa(a.Length)}
	case len(body) > 0:
		h["Content-Length"] = []string{itoa(int64(len(body)))}
	case a.stream != nil:
		h["Content-Length"] = nil // nor one of net/http's: an answer of trailers only has none
	}
	e.begin()
	if len(body) > 0 {
		e.last(e.writeTimeout())
	}
	e.writer.WriteHeader(a.Status)
	if len(body) > 0 {
		_, _ = e.writer.Write(body) // recorded already; a client that left has no use for it
		_ = e.stream.Flush()        // while it counts as a request: its client may have no room
	}
}

// pass streams an answer. One that ends early is broken off, but for gRPC's,
// whose trailers say why.
func (e *h2) pass(a *answered) {
	s := e.x.stream(a)
	if a.Length >= 0 {
		e.writer.Header()["Content-Length"] = []string{itoa(a.Length)}
	}
	e.begin()
	e.writer.WriteHeader(a.Status)
	err := error(nil)
	if a.paused() {
		err = e.Flush()
	}
	if err == nil {
		_, err = s.WriteTo(e)
	}
	trailers := http.Header{}
	if s.complete && e.grpc {
		trailers = a.trailers()
	}
	why, _ := s.end(err) // its error is the recorder's, which counted it
	e.last(e.writeTimeout())
	switch {
	case s.complete && err == nil:
		_ = e.stream.Flush() // as in relay
		for name, values := range trailers {
			e.writer.Header()[http.TrailerPrefix+name] = values
		}
	case why != nil && e.grpc:
		e.trailGRPC(why)
	default:
		panic(http.ErrAbortHandler)
	}
}

// Write implements io.Writer: each piece must be taken in time, or the watch
// finds the client gone.
func (e *h2) Write(p []byte) (int, error) {
	e.taking.Store(int64(time.Since(e.x.started)) | 1) // never 0
	n, err := e.writer.Write(p)
	e.taking.Store(0)
	return n, err
}

// Flush sends what was written.
func (e *h2) Flush() error {
	e.taking.Store(int64(time.Since(e.x.started)) | 1)
	err := e.stream.Flush()
	e.taking.Store(0)
	return err
}

const (
	minPace        = 1 << 10          // bytes of a body in each window
	writeTimeout   = 30 * time.Second // for a client to take what is written
	refusalTimeout = 5 * time.Second  // and a refusal, which fits any window but none
)
