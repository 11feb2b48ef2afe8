package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxMessage bounds the body of a request on a route with a protocol, which is
	// read whole, and of an answer, or of an event, that is filtered.
	maxMessage = 1 << 20
	maxHeld    = 256 << 20   // bytes of all messages that are being read or wait to be sent
	maxShare   = maxHeld / 8 // of them for one agent, or one network of strangers
)

// held is how many bytes of messages are in memory, and whose they are.
type held struct {
	bytes atomic.Int64

	mu     sync.Mutex
	shares map[holder]*share // of those who hold something now; guarded by mu
}

// holder is the agent that a message is of; on a public route the network of
// the client.
type holder struct {
	agent string
	from  netip.Prefix
}

type share struct {
	holder
	bytes    atomic.Int64
	messages int // guarded by held.mu
}

func (x *exchange) holder() holder {
	if x.known {
		return holder{agent: x.identity.Claims.Subject}
	}
	return holder{from: prefixOf(x.client)}
}

var (
	errHeld  = errors.New("too many messages are held")
	errShare = errors.New("too many messages of one agent are held")
)

// shareHeld is the refusal for one whose own messages are too many.
var shareHeld = &refusal{check: atRPC, status: 429, reason: "messages_held", message: "too many messages are under way", retryAfter: time.Second}

// unheld is the refusal for a message that finds no room; nil for other errors.
func unheld(err error) *refusal {
	switch {
	case errors.Is(err, errShare):
		return shareHeld
	case errors.Is(err, errHeld):
		return overloaded
	}
	return nil
}

// whole reads the body of the holder's to its end, and puts it back. What it
// holds is counted until it is let go, also after a refusal.
func (h *held) whole(b *bodySource, who holder) ([]byte, *refusal) {
	if b.from == nil {
		return nil, nil
	}
	if b.length > maxMessage {
		return nil, bodyLarge
	}
	body, err := io.ReadAll(io.LimitReader(h.reader(b, who), maxMessage+1))
	if r := unheld(err); r != nil {
		return nil, r
	}
	switch {
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

// reader counts what is read of the body, until it is let go.
func (h *held) reader(b *bodySource, who holder) io.Reader {
	if b.share == nil {
		b.share = h.enter(who)
	}
	return &heldReader{h, b}
}

func (h *held) enter(who holder) *share {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shares[who]
	if s == nil {
		s = &share{holder: who}
		if h.shares == nil {
			h.shares = map[holder]*share{}
		}
		h.shares[who] = s
	}
	s.messages++
	return s
}

// letGo ends the counting of the body's bytes.
func (h *held) letGo(b *bodySource) {
	s := b.share
	if s == nil {
		return
	}
	h.bytes.Add(-b.held)
	s.bytes.Add(-b.held)
	b.held, b.share = 0, nil
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.messages--; s.messages == 0 {
		delete(h.shares, s.holder)
	}
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
	all, own := r.held.bytes.Add(int64(n)), r.body.share.bytes.Add(int64(n))
	switch {
	case own > maxShare:
		return n, errShare
	case all > maxHeld:
		return n, errHeld
	}
	return n, err
}
