package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

// stream is an exchange's side towards an upstream that speaks HTTP/2. Both
// directions flow at once. As an io.Reader it is the answer's body.
type stream struct {
	place  *upstream.Stream
	cancel context.CancelCauseFunc
	ctx    context.Context
	upload *upload
	answer *http.Response // nil until its head is here

	idle  time.Duration // between bytes, either way
	limit time.Duration // from the end of the request to the answer's head

	mu     sync.Mutex
	timer  *time.Timer // guarded by mu
	headed bool        // guarded by mu: the answer's head is here
}

var errStreamOver = errors.New("the exchange is over")

// newStream begins the exchange's side; it ends with its end method.
func (x *exchange) newStream() *stream {
	s := &stream{idle: x.upstream.IdleTimeout(), limit: or(x.match.Route.Timeout, x.upstream.Timeout())}
	s.ctx, s.cancel = context.WithCancelCause(x.edge.context())
	s.timer = time.AfterFunc(s.idle, func() { s.cancel(os.ErrDeadlineExceeded) })
	return s
}

// carry makes the body that the transport reads, for one attempt.
func (s *stream) carry(body *bodySource) {
	if body.from == nil {
		s.await(s.limit)
		return
	}
	if s.upload != nil {
		s.upload.stop() // that of the attempt before, which took nothing
	}
	s.upload = &upload{body: body, stream: s, edge: body.edge, done: make(chan struct{})}
	s.await(s.idle)
}

// touched reports whether nobody can read the request's body from its start again.
func (s *stream) touched() bool {
	if s.upload == nil {
		return false
	}
	s.upload.mu.Lock()
	defer s.upload.mu.Unlock()
	return s.upload.body.touched
}

// Close ends whatever waits for the upstream; it may come from any goroutine.
func (s *stream) Close() error {
	s.cancel(errStreamOver)
	return nil
}

// await gives the upstream so long from now.
func (s *stream) await(limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Reset(limit)
}

// came notes that a part of the request was read: its end, if it was.
func (s *stream) came(end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.headed:
		if s.timer.Stop() { // else nothing is awaited, or it came too late
			s.timer.Reset(s.idle)
		}
	case end:
		s.timer.Reset(s.limit)
	default:
		s.timer.Reset(s.idle)
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	s.await(s.idle)
	n, err := s.answer.Body.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop() // the client takes its own time
	return n, err
}

// uploaded waits until nobody reads the request's body any more: fasthttp's ends with its handler.
func (s *stream) uploaded() {
	if s.upload != nil {
		<-s.upload.done
		s.upload.stop()
	}
}

// end lets go of everything. From then on nothing of the exchange is touched.
func (s *stream) end() {
	s.cancel(errStreamOver)
	s.mu.Lock()
	s.timer.Stop()
	s.mu.Unlock()
	if s.answer != nil {
		_ = s.answer.Body.Close() // read to its end, or of no use to anyone
	}
	if s.upload != nil {
		s.upload.edge.unread()
		s.upload.stop()
	}
	if s.place != nil {
		s.place.Release()
		s.place = nil
	}
}

// upload is the request's body as the transport reads it, in a goroutine of its
// own that may outlive the request.
type upload struct {
	stream *stream
	edge   edge
	done   chan struct{} // closed when nobody begins to read any more
	once   sync.Once

	state sync.Mutex
	begun bool // guarded by state: something was read, or tried to
	over  bool // guarded by state
	shut  bool // guarded by state: the transport wants no more of it

	mu   sync.Mutex  // held while a read is under way
	body *bodySource // guarded by mu; nil: over
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.body
	if b == nil || !u.begin() {
		return 0, errStreamOver
	}
	b.touched = true
	n, err := b.from.Read(p)
	b.read += int64(n)
	u.stream.came(err != nil)
	if err == nil {
		return n, nil
	}
	u.once.Do(func() { close(u.done) })
	if !errors.Is(err, io.EOF) {
		if !u.unwanted() {
			b.err = err
		}
		return n, errBody
	}
	if !b.complete() {
		b.err = io.ErrUnexpectedEOF
		return n, errBody
	}
	return n, io.EOF
}

func (u *upload) begin() bool {
	u.state.Lock()
	defer u.state.Unlock()
	u.begun = true
	return !u.over
}

// unwanted reports whether the upstream ended the reading: the client did nothing wrong.
func (u *upload) unwanted() bool {
	u.state.Lock()
	defer u.state.Unlock()
	return u.shut && u.stream.ctx.Err() == nil
}

// Close implements io.Closer. The transport may be reading, and waits for that.
func (u *upload) Close() error {
	u.once.Do(func() { close(u.done) })
	u.state.Lock()
	defer u.state.Unlock()
	u.shut = true
	if u.begun && !u.over {
		u.edge.unread()
	}
	return nil
}

// stop waits for a read under way. None begins afterwards.
func (u *upload) stop() {
	u.state.Lock()
	u.over = true
	u.state.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.body = nil
}

// attemptStream makes one attempt over HTTP/2; see attempt. What the server says
// it did not process (RFC 9113 section 8.7) counts as unsent.
func (x *exchange) attemptStream(avoid *upstream.Server) (*upstream.Server, outcome, error) {
	s := x.answer.stream
	place, err := x.upstream.Open(s.ctx, avoid)
	if err != nil {
		return place.Server, unconnected, s.why(err)
	}
	x.server = place.URL()
	s.carry(&x.body)
	request, sent := x.outbound(s, place.Authority())
	x.owe()
	answer, err := place.Do(request) //nolint:bodyclose // the stream's end method closes it
	if err != nil {
		place.Release()
		o := spent
		if (!sent() || unprocessed(err)) && !s.touched() {
			o = unsent
		}
		return place.Server, o, s.why(err)
	}
	s.place, s.answer = place, answer
	s.mu.Lock()
	s.headed = true
	s.timer.Reset(s.idle)
	s.mu.Unlock()
	if err := guard.ReadAnswer(appendAnswer(nil, answer), &x.answer.Answer); err != nil {
		return place.Server, spent, err
	}
	return place.Server, spent, nil
}

// why is the reason of ours, if it was we who ended it.
func (s *stream) why(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	return err
}
