package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

var chunks = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// bodySource is the body of the client's request on its way out, framed anew.
type bodySource struct {
	from    io.Reader // nil: none
	length  int64     // guard.Chunked: not declared
	touched bool      // nobody can read it from its start again
	read    int64
	err     error // the client's fault
}

// open gives the request's body; from now on it must come at its pace.
func (p *Proxy) open(x *exchange) (*bodySource, *refusal) {
	b := &bodySource{length: x.head.Length}
	if !x.head.HasBody() {
		return b, nil
	}
	from, err := httpx.OpenBody(x.ctx, p.MaxBody, httpx.Pace{Window: p.BodyWindow})
	if err != nil {
		return nil, bodyLarge
	}
	b.from = from
	return b, nil
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

func (b *bodySource) end(w *bufio.Writer) error {
	if b.length == guard.Chunked {
		_, err := w.WriteString("0\r\n\r\n")
		return err
	}
	if b.read != b.length {
		b.err = io.ErrUnexpectedEOF
		return errBody
	}
	return nil
}

// refusal words the client's fault.
func (b *bodySource) refusal() *refusal {
	var network net.Error
	var broken fasthttp.ErrBrokenChunk
	switch {
	case apierr.Is(b.err, apierr.PayloadTooLarge):
		return bodyLarge
	case errors.As(b.err, &network) && network.Timeout():
		return bodyTimeout
	case errors.Is(b.err, io.ErrUnexpectedEOF), errors.As(b.err, &network):
		return bodyIncomplete
	case errors.As(b.err, &broken) && errors.Is(broken, io.EOF):
		return bodyIncomplete
	}
	return bodyMalformed
}
