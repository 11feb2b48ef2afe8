package proxy

import (
	"errors"
	"io"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// forward takes an allowed request to the upstream and its answer back.
func (p *Proxy) forward(x *exchange) {
	if x.match.Route.Metadata != nil {
		p.describe(x)
		return
	}
	defer p.held.letGo(&x.body)
	r := p.open(x)
	if r == nil {
		r = p.message(x)
	}
	if r == nil {
		r = p.send(x)
	}
	p.held.letGo(&x.body)
	if r == nil {
		r = p.screen(x)
	}
	if r != nil || x.answer.stream == nil {
		x.record.BytesIn = x.body.read
	}
	if r != nil {
		if cut := p.settle(x); cut != nil {
			r = cut
			x.closes(false) // nothing can be read from it any more
		}
		p.refuse(x, r)
		return
	}
	a := &x.answer
	if a.Status == http.StatusSwitchingProtocols {
		p.tunnel(x)
		return
	}
	if a.stream == nil && !a.whole {
		a.certain = a.Certain(x.request.Method)
		_, _ = a.Reader.Discard(a.size) // it was peeked whole
	}
	x.edge.relay(a)
}

// here is the body of an answer that came whole with its head, or has none.
func (a *answered) here(method []byte) (body []byte, ok bool) {
	if a.Bodyless(method) {
		return nil, true
	}
	if a.whole {
		return a.body, true
	}
	if a.stream != nil {
		return nil, a.Length == 0
	}
	if a.Length < 0 || a.Length > int64(a.Reader.Buffered()) {
		return nil, false
	}
	body, _ = a.Reader.Peek(int(a.Length)) // buffered, and there until the next read
	_, _ = a.Reader.Discard(len(body))
	return body, true
}

// paused reports whether the client may have everything that came: a filter may
// wait for more of what it holds.
func (a *answered) paused() bool {
	return a.stream != nil || a.filter != nil || a.Reader.Buffered() == 0
}

// release ends the upstream's side. reuse: the answer ended well.
func (x *exchange) release(a *answered, reuse bool) {
	if a.stream != nil {
		a.stream.end()
		x.record.BytesIn = x.body.read
		return
	}
	a.released = true
	a.Release(reuse && a.reusable())
}

// abandon lets go of what an exchange holds whose handler a defect ended.
func (x *exchange) abandon() {
	x.proxy.settle(x)
	switch a := &x.answer; {
	case a.stream != nil:
		a.stream.end()
	case a.Conn != nil && !a.released:
		x.release(a, false)
	}
}

// reusable reports whether the connection can take another request: the answer
// ended for both sides, and nothing came after it.
func (a *answered) reusable() bool { return a.certain && !a.Close && a.Reader.Buffered() == 0 }

// complete ends an exchange whose answer is here whole and not yet sent. The
// refusal, if any, is the answer instead: nothing was said yet, and nothing is
// said unrecorded.
func (x *exchange) complete(a *answered) *refusal {
	if cut := x.proxy.settle(x); cut != nil {
		x.release(a, false)
		x.closes(false)
		return cut
	}
	x.release(a, true)
	if x.finish(decision.Allowed, x.record.Reason, a.Status) != nil {
		return auditFull
	}
	return nil
}

// stream begins an answer whose body is still to come.
func (x *exchange) stream(a *answered) *answerStream {
	x.streaming = true
	x.record.Status = a.Status
	x.proxy.live(x)
	return newAnswerStream(x, a)
}

// answerStream is the body of an answer on its way to the client; fasthttp
// pulls it after the handler returned. Chunks go out as they come.
// The trailers of an HTTP/1.1 upstream end here.
type answerStream struct {
	x        *exchange
	a        *answered
	response *fasthttp.Response // owns from; nil over HTTP/2
	from     io.Reader
	complete bool
	err      error // the upstream's
}

func newAnswerStream(x *exchange, a *answered) *answerStream {
	s := &answerStream{x: x, a: a}
	if a.stream != nil {
		s.from = a.stream
	} else {
		s.response = fasthttp.AcquireResponse()
		s.response.StreamBody = true
		s.response.Header.SetContentLength(int(a.Length))
		s.err = s.response.ReadBody(a.Reader, 0) // reads nothing yet
		s.from = s.response.BodyStream()
	}
	if a.filter != nil && s.err == nil {
		s.from = a.filter(s.from)
	}
	return s
}

// Read implements io.Reader.
func (s *answerStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.from.Read(p)
	s.x.record.BytesOut += int64(n)
	if errors.Is(err, io.EOF) && s.response != nil && s.a.Length == guard.Chunked && s.a.Conn.Ended() {
		err = io.ErrUnexpectedEOF // fasthttp takes the end of the connection for the last chunk
	}
	switch {
	case errors.Is(err, io.EOF):
		s.complete = true
	case err != nil:
		s.err = err
	}
	return n, err
}

// SupportsBodyWriteTo tells fasthttp to hand its writer over: our pieces are larger.
func (s *answerStream) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo. Whenever the upstream pauses, the client has
// everything that came.
func (s *answerStream) WriteTo(w io.Writer) (written int64, err error) {
	buffer := chunks.Get().(*[]byte)
	defer chunks.Put(buffer)
	buffered, _ := w.(flusher) // fasthttp's chunked writer flushes by itself
	for {
		n, err := s.Read(*buffer)
		if s.complete || n > 0 && s.x.record.BytesOut == s.a.Length {
			if err := s.tell(); err != nil {
				return written, err
			}
		}
		if n > 0 {
			if _, err := w.Write((*buffer)[:n]); err != nil {
				return written, err
			}
			written += int64(n)
		}
		if s.complete {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		if buffered != nil && s.a.paused() {
			if err := buffered.Flush(); err != nil {
				return written, err
			}
		}
	}
}

// tell records an answer before the client can know that it has the whole of it:
// a process killed in between has lost no decision that somebody was told of.
func (s *answerStream) tell() error {
	if s.x.ctx == nil || s.x.proxy.settle(s.x) != nil {
		return nil // over HTTP/2 the end is a frame of its own, behind end
	}
	if s.a.stream != nil {
		s.x.record.BytesIn = s.x.body.read
	}
	return s.x.finish(decision.Allowed, s.x.record.Reason, s.a.Status)
}

// CloseWithError ends the exchange: fasthttp calls it once, with the error of
// writing to the client, if any.
func (s *answerStream) CloseWithError(err error) error {
	_, closing := s.end(err)
	return closing
}

// aborted is no answer: it was on its way already.
var aborted = &refusal{check: atUpstream, status: 502, reason: "upstream_aborted", message: noAnswer}

// end ends the exchange; why is the reason that the client did not get all, if
// it is there to hear it.
func (s *answerStream) end(err error) (why *refusal, closing error) {
	cut := s.x.proxy.settle(s.x)
	whole := s.complete && err == nil
	closing = s.close()
	s.x.release(s.a, whole && cut == nil)
	if !whole {
		s.x.proxy.meters.broken.Inc()
	}
	switch {
	case whole:
	case cut != nil && cut != clientGone:
		return cut, errors.Join(closing, s.x.finish(cut.outcome(), cut.reason, s.a.Status))
	case s.err != nil && cut == nil && !s.x.left():
		why := or(unscreened(s.err), aborted)
		return why, errors.Join(closing, s.x.finish(decision.Error, why.reason, s.a.Status))
	}
	return nil, errors.Join(closing, s.x.finish(decision.Allowed, s.x.record.Reason, s.a.Status))
}

// close lets go of what reads the body.
func (s *answerStream) close() error {
	if s.response == nil {
		return nil
	}
	defer fasthttp.ReleaseResponse(s.response)
	return s.response.CloseBodyStream()
}

// flusher is a writer that keeps what is written to it, as *bufio.Writer does.
type flusher interface{ Flush() error }
