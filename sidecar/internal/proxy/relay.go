package proxy

import (
	"bufio"
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// forward takes an allowed request to the upstream and its answer back.
func (p *Proxy) forward(x *exchange) {
	r := p.open(x)
	if r == nil {
		r = p.send(x)
	}
	x.record.BytesIn = x.body.read
	if r != nil {
		if cut := p.settle(x); cut != nil {
			r = cut
			x.closes() // nothing can be read from it any more
		}
		p.refuse(x, r)
		return
	}
	p.relay(x, &x.answer)
}

// relay answers the client. A body that is here already is copied and the
// upstream's connection is free at once; any other is streamed.
func (p *Proxy) relay(x *exchange, a *answered) {
	response := &x.ctx.Response
	response.SetStatusCode(a.Status)
	copyFields(&response.Header, a)
	response.Header.Set("X-Request-Id", x.record.RequestID)
	a.certain = a.Certain(x.request.Method)
	reader := a.Reader
	_, _ = reader.Discard(a.size) // it was peeked whole
	switch {
	case a.Bodyless(x.request.Method):
		if a.Length >= 0 {
			response.Header.SetContentLength(int(a.Length))
		}
		response.SkipBody = true
	case a.Length >= 0 && a.Length <= int64(reader.Buffered()):
		body, _ := reader.Peek(int(a.Length)) // buffered
		response.SetBody(body)
		_, _ = reader.Discard(len(body))
		x.record.BytesOut = a.Length
	default:
		response.ImmediateHeaderFlush = reader.Buffered() == 0
		x.streaming = true
		x.record.Status = a.Status
		p.live(x)
		response.SetBodyStream(newAnswerStream(x, a), int(max(a.Length, -1)))
		return
	}
	if cut := p.settle(x); cut != nil {
		a.Release(false)
		x.closes()
		p.refuse(x, cut)
		return
	}
	a.Release(a.reusable())
	if x.finish(decision.Allowed, x.record.Reason, a.Status) != nil {
		p.refuse(x, auditFull) // nothing was said yet, and nothing is said unrecorded
	}
}

// reusable reports whether the connection can take another request: the answer
// ended for both sides, and nothing came after it.
func (a *answered) reusable() bool { return a.certain && !a.Close && a.Reader.Buffered() == 0 }

// copyFields takes the upstream's end-to-end fields over.
func copyFields(h *fasthttp.ResponseHeader, a *answered) {
	for block := a.Fields; ; {
		name, value, rest, why := guard.Next(block)
		if why != nil || name == nil {
			return // the guard read the block to its end before
		}
		if a.Returns(name) {
			h.AddBytesKV(name, value)
		}
		block = rest
	}
}

// answerStream is the body of an answer on its way to the client, which
// fasthttp pulls after the handler returned. Chunks go out as they come.
// The upstream's trailers end here.
type answerStream struct {
	x        *exchange
	a        *answered
	response *fasthttp.Response // owns from
	from     io.Reader
	complete bool
	err      error // the upstream's
}

func newAnswerStream(x *exchange, a *answered) *answerStream {
	s := &answerStream{x: x, a: a, response: fasthttp.AcquireResponse()}
	s.response.StreamBody = true
	s.response.Header.SetContentLength(int(a.Length))
	s.err = s.response.ReadBody(a.Reader, 0) // reads nothing yet
	s.from = s.response.BodyStream()
	return s
}

// Read implements io.Reader.
func (s *answerStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.from.Read(p)
	s.x.record.BytesOut += int64(n)
	if errors.Is(err, io.EOF) && s.a.Length == guard.Chunked && s.a.Conn.Ended() {
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
	fixed, _ := w.(*bufio.Writer) // a chunked writer flushes by itself
	for {
		n, err := s.Read(*buffer)
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
		if fixed != nil && s.a.Reader.Buffered() == 0 {
			if err := fixed.Flush(); err != nil {
				return written, err
			}
		}
	}
}

// CloseWithError ends the exchange: fasthttp calls it once, with the error of
// writing to the client, if any.
func (s *answerStream) CloseWithError(err error) error {
	cut := s.x.proxy.settle(s.x)
	whole := s.complete && err == nil
	reuse := whole && cut == nil && s.a.reusable()
	closing := s.response.CloseBodyStream()
	fasthttp.ReleaseResponse(s.response)
	s.a.Release(reuse)
	if !whole {
		s.x.proxy.meters.broken.Inc()
	}
	switch {
	case whole:
	case cut != nil && cut != clientGone:
		return errors.Join(closing, s.x.finish(cut.outcome(), cut.reason, s.a.Status))
	case s.err != nil && cut == nil:
		return errors.Join(closing, s.x.finish(decision.Error, "upstream_aborted", s.a.Status))
	}
	return errors.Join(closing, s.x.finish(decision.Allowed, s.x.record.Reason, s.a.Status))
}
