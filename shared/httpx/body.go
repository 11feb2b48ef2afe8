package httpx

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// Pace is how fast a body must come: at least Bytes in every Window, else the
// read times out. The zero value takes 1 KiB in 30 s.
type Pace struct {
	Window time.Duration
	Bytes  int
}

const (
	defaultPaceWindow = 30 * time.Second
	defaultPaceBytes  = 1 << 10
)

// Body is the body of a streamed request. One goroutine reads it, before the
// handler returns.
type Body struct {
	stream io.Reader // nil: the request has none
	left   int64
	read   bool // to its end
}

type bodyKey struct{}

// OpenBody gives the body of a request of a streaming server, of at most limit
// bytes: a longer one is PAYLOAD_TOO_LARGE, at once if its length is declared.
// From now on it must come at the pace, however long it takes in all.
func OpenBody(ctx *fasthttp.RequestCtx, limit int64, pace Pace) (*Body, error) {
	if int64(ctx.Request.Header.ContentLength()) > limit {
		return nil, tooLarge()
	}
	b := &Body{stream: ctx.RequestBodyStream(), left: limit}
	ctx.SetUserValue(bodyKey{}, b)
	if c := connOf(ctx); c != nil && b.stream != nil {
		c.pace(positive(pace.Window, defaultPaceWindow), positive(pace.Bytes, defaultPaceBytes))
	}
	return b, nil
}

// Read implements io.Reader. Its errors are io.EOF and refusals:
// PAYLOAD_TOO_LARGE past the limit, REQUEST_TIMEOUT below the pace,
// VALIDATION_FAILED for broken framing or a body that ends early.
func (b *Body) Read(p []byte) (int, error) {
	if b.stream == nil || b.read {
		b.read = true
		return 0, io.EOF
	}
	if b.left < 0 {
		return 0, tooLarge()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more tells a body that ends at the limit from one that does not
	}
	n, err := b.stream.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, tooLarge()
	}
	if errors.Is(err, io.EOF) {
		b.read = true
		return n, io.EOF
	}
	return n, broken(err)
}

// broken words why the rest of a body cannot be read; nil for nil.
func broken(err error) error {
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &network) && network.Timeout():
		return tooSlow()
	}
	return malformed("malformed_body")
}

// bodyRead reports whether nothing of the request can be left on the connection.
func bodyRead(ctx *fasthttp.RequestCtx) bool {
	if !ctx.Request.IsBodyStream() || ctx.Request.Header.ContentLength() == 0 {
		return true
	}
	b, opened := ctx.UserValue(bodyKey{}).(*Body)
	return opened && b.read
}

// CloseUnread closes the connection after the answer, so that no byte of what
// is left unread is taken for a request, and lets the answer arrive before.
func CloseUnread(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	if c := connOf(ctx); c != nil {
		c.unread.Store(true)
	}
}
