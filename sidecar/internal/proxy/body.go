package proxy

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

var chunks = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// bodySource is the body of the client's request on its way out, framed anew.
type bodySource struct {
	from    io.Reader // nil: none
	length  int64     // guard.Chunked: not declared
	edge    edge
	touched bool // nobody can read it from its start again
	read    int64
	held    int64  // bytes of it that are in memory
	share   *share // that they count against; nil: nothing is held
	err     error  // the client's fault
	long    bool   // long enough to be judged again on its way
}

// open gives the request's body; from now on it must come at its pace.
func (p *Proxy) open(x *exchange) *refusal {
	x.body = bodySource{length: x.head.Length, edge: x.edge}
	if !x.head.HasBody() {
		return nil
	}
	from, err := x.edge.body()
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

// end finishes the message, if the client did.
func (b *bodySource) end(w *bufio.Writer) error {
	if !b.complete() {
		b.err = io.ErrUnexpectedEOF
		return errBody
	}
	if b.length == guard.Chunked {
		_, err := w.WriteString("0\r\n\r\n")
		return err
	}
	return nil
}

// complete reports, at the body's end, whether it came whole.
func (b *bodySource) complete() bool {
	if b.length == guard.Chunked {
		return !b.edge.cutShort()
	}
	return b.read == b.length
}

// refusal words the client's fault.
func (b *bodySource) refusal() *refusal {
	switch {
	case apierr.Is(b.err, apierr.PayloadTooLarge):
		return bodyLarge
	case apierr.Is(b.err, apierr.RequestTimeout):
		return bodyTimeout
	case errors.Is(b.err, io.ErrUnexpectedEOF), b.edge.cutShort():
		return bodyIncomplete
	}
	return bodyMalformed
}
