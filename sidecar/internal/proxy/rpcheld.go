package proxy

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
)

const (
	// maxMessage bounds the body of a request on a route with a protocol, which is
	// read whole, and of an answer, or of an event, that is filtered.
	maxMessage = 1 << 20
	maxHeld    = 256 << 20 // bytes of all messages that are being read or wait to be sent
)

// held is how many bytes of messages are in memory.
type held struct{ bytes atomic.Int64 }

var errHeld = errors.New("too many messages are held")

// whole reads the body to its end, and puts it back. What it holds is counted
// until it is let go, also after a refusal.
func (h *held) whole(b *bodySource) ([]byte, *refusal) {
	if b.from == nil {
		return nil, nil
	}
	if b.length > maxMessage {
		return nil, bodyLarge
	}
	body, err := io.ReadAll(io.LimitReader(&heldReader{h, b}, maxMessage+1))
	switch {
	case errors.Is(err, errHeld):
		return nil, overloaded
	case err == nil && b.read > maxMessage:
		return nil, bodyLarge
	case err == nil && !b.complete():
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		b.err = err
		return nil, b.refusal()
	}
	b.from, b.length, b.read = bytes.NewReader(body), b.read, 0
	return body, nil
}

// letGo ends the counting of the body's bytes.
func (h *held) letGo(b *bodySource) {
	h.bytes.Add(-b.held)
	b.held = 0
}

// heldReader counts what is read.
type heldReader struct {
	held *held
	body *bodySource
}

// Read implements io.Reader.
func (r *heldReader) Read(p []byte) (int, error) {
	n, err := r.body.from.Read(p)
	r.body.read += int64(n)
	r.body.held += int64(n)
	if r.held.bytes.Add(int64(n)) > maxHeld {
		return n, errHeld
	}
	return n, err
}
