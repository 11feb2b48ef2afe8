package proxy

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

var chunks = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// bodySource is the body of the client's request on its way out, framed anew.
type bodySource struct {
	from    io.Reader // nil: none
	length  int64     // guard.Chunked: not declared
	client  *watched
	touched bool // nobody can read it from its start again
	read    int64
	err     error // the client's fault
	long    bool  // long enough to be judged again on its way
}

// open gives the request's body; from now on it must come at its pace.
func (p *Proxy) open(x *exchange) *refusal {
	x.body = bodySource{length: x.head.Length, client: x.conn}
	if !x.head.HasBody() {
		return nil
	}
	from, err := httpx.OpenBody(x.ctx, p.MaxBody, httpx.Pace{Window: p.BodyWindow})
	if err != nil {
		return bodyLarge
	}
	x.body.from = from
	x.body.long = x.head.Length == guard.Chunked || x.head.Length >= liveBody
	return nil
}

// copyTo writes the body: exactly the declared length, or chunks that are
// flushed as they come. Request trailers end here. An error leaves the
// message unfinished: the connection cannot be used again.
func (b *bodySource) copyTo(w *bufio.Writer) error {
	if b.from == nil {
		return nil
	}
	b.touched = true
	buffer := chunks.Get().(*[]byte)
	defer chunks.Put(buffer)
	for {
		n, err := b.from.Read(*buffer)
		b.read += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			b.err = err
			return errBody
		}
		if n > 0 {
			if err := b.write(w, (*buffer)[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return b.end(w)
		}
	}
}

var errBody = errors.New("the client's body did not come whole")

func (b *bodySource) write(w *bufio.Writer, p []byte) error {
	if b.length >= 0 {
		_, err := w.Write(p) // an error stays with w
		return err
	}
	if _, err := w.Write(append(strconv.AppendInt(w.AvailableBuffer(), int64(len(p)), 16), "\r\n"...)); err != nil {
		return err
	}
	if _, err := w.Write(p); err != nil {
		return err
	}
	if _, err := w.WriteString("\r\n"); err != nil {
		return err
	}
	return w.Flush()
}

// end finishes the message, if the client did. fasthttp takes the end of the
// connection for the end of a chunked body; nothing of a whole one is left to
// read when it ends, so a connection that was read to its end cut it.
func (b *bodySource) end(w *bufio.Writer) error {
	whole := b.read == b.length
	if b.length == guard.Chunked {
		whole = b.client != nil && !b.client.ended
	}
	if !whole {
		b.err = io.ErrUnexpectedEOF
		return errBody
	}
	if b.length == guard.Chunked {
		_, err := w.WriteString("0\r\n\r\n")
		return err
	}
	return nil
}

// refusal words the client's fault.
func (b *bodySource) refusal() *refusal {
	switch {
	case apierr.Is(b.err, apierr.PayloadTooLarge):
		return bodyLarge
	case apierr.Is(b.err, apierr.RequestTimeout):
		return bodyTimeout
	case errors.Is(b.err, io.ErrUnexpectedEOF), b.client != nil && b.client.ended:
		return bodyIncomplete
	}
	return bodyMalformed
}
