package proxy

import (
	"context"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// h1 is the edge towards a client that speaks HTTP/1.1, by fasthttp.
type h1 struct{ *exchange }

func (e h1) context() context.Context { return e.proxy.ctx }

func (e h1) closes(doubtful bool) {
	if doubtful {
		httpx.CloseUnread(e.ctx)
		return
	}
	e.ctx.SetConnectionClose()
}

func (e h1) body() (io.Reader, error) {
	body, err := httpx.OpenBody(e.ctx, e.proxy.MaxBody, httpx.Pace{Window: e.proxy.BodyWindow})
	if err != nil {
		return nil, err // a nil *httpx.Body is no nil io.Reader
	}
	return body, nil
}

// unread: whoever reads does so at the client's pace, and the connection is closed afterwards.
func (e h1) unread() {}

// cutShort: fasthttp takes the end of the connection for the end of a chunked
// body; nothing of a whole one is left to read when it ends, so a connection
// that was read to its end cut it.
func (e h1) cutShort() bool { return e.conn == nil || e.conn.ended }

func (e h1) watch() (gone func() bool, cut func()) {
	gone, cut = httpx.Gone(e.ctx), func() {}
	if e.conn != nil {
		client := e.conn.Conn
		cut = func() { httpx.Interrupt(client) }
	}
	return gone, cut
}

func (e h1) refuse(r *refusal) {
	closes := e.ctx.Response.ConnectionClose()
	r.render(&e.ctx.Response, e.record.DecisionID, e.record.RequestID)
	if closes {
		e.ctx.SetConnectionClose()
	}
}

// relay copies a body that is here already, so that the upstream's connection is
// free at once; any other is streamed.
func (e h1) relay(a *answered) {
	x, response := e.exchange, &e.ctx.Response
	if a.stream != nil {
		a.stream.uploaded()
	}
	response.SetStatusCode(a.Status)
	copyFields(&response.Header, a)
	response.Header.Set("X-Request-Id", x.record.RequestID)
	body, here := a.here(x.request.Method)
	switch {
	case a.Bodyless(x.request.Method):
		if a.Length >= 0 {
			response.Header.SetContentLength(int(a.Length))
		}
		response.SkipBody = true
	case here:
		response.SetBody(body)
		x.record.BytesOut = a.Length
	default:
		response.ImmediateHeaderFlush = a.paused()
		response.SetBodyStream(x.stream(a), int(max(a.Length, -1)))
		return
	}
	if r := x.complete(a); r != nil {
		x.proxy.refuse(x, r)
	}
}

// copyFields takes the upstream's end-to-end fields over.
func copyFields(h *fasthttp.ResponseHeader, a *answered) {
	for block := a.Fields; ; {
		name, value, rest := guard.Again(block)
		if name == nil {
			return // the guard read the block to its end before
		}
		if a.Returns(name) {
			h.AddBytesKV(name, value)
		}
		block = rest
	}
}
