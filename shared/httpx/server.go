// Package httpx is the HTTP edge that both programs share: a fasthttp server
// with safe settings, listeners that bound what a client can hold, identity of
// the caller's address, strict body decoding, and the two renderings of a refusal.
package httpx

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// Defaults of Options.
const (
	DefaultMaxHead     = 16 << 10
	DefaultMaxBody     = 1 << 20
	DefaultHeadTimeout = 15 * time.Second
	DefaultBodyTimeout = 30 * time.Second
	DefaultIdleTimeout = 60 * time.Second
)

// Options describes a server. Handler is required; a zero value takes its default.
type Options struct {
	Handler fasthttp.RequestHandler
	Log     *slog.Logger // default slog.Default()

	// Stream hands the request over before its body is read, which the handler
	// then reads through OpenBody. A connection whose body was not read to its
	// end that way is closed after the answer. Without Stream the body is read
	// first, up to MaxBody, and a request of doubtful framing (see framing) is
	// refused before the handler; with Stream that is the handler's task.
	Stream  bool
	MaxBody int                               // bytes, without Stream
	Limit   func(*fasthttp.RequestHeader) int // MaxBody of one request, seen before its body is read; 0 = MaxBody

	MaxHead     int           // bytes of request line and header; also the read buffer of a connection
	HeadTimeout time.Duration // from a request's first byte, or the connection's start, to the end of its header
	BodyTimeout time.Duration // from there to the end of the body, without Stream
	IdleTimeout time.Duration // between requests of a connection

	Concurrency  int  // connections served at once; default 262,144; more are answered 503
	ReduceMemory bool // gives a connection's buffers back while it idles, for one more read per request

	// Refuse writes the answer to what the server itself refuses: malformed,
	// too large or too slow requests, and panics. Default WriteError.
	Refuse func(*fasthttp.RequestCtx, *apierr.Error)
	// Expect answers "Expect: 100-continue": 100 to go on, else the final
	// status of an answer without body. Default 100, or 413 past MaxBody.
	Expect func(*fasthttp.RequestCtx) int
}

// NewServer makes a server with the settings a hostile network needs. It has no
// limit of connections per address and no write deadline; the Listener has.
// It never logs what a client sent.
func NewServer(opts Options) *fasthttp.Server {
	opts = opts.withDefaults()
	e := &edge{Options: opts}
	maxBody := opts.MaxBody
	if opts.Stream {
		maxBody = 1 // in streaming mode, only how much is read before the handler runs
	}
	return &fasthttp.Server{
		Handler:        e.handle,
		ErrorHandler:   e.unparsed,
		HeaderReceived: e.headerReceived,
		ExpectHandler:  opts.Expect,
		Logger:         serverLog{opts.Log},

		StreamRequestBody:  opts.Stream,
		MaxRequestBodySize: maxBody,
		ReadBufferSize:     opts.MaxHead,
		ReadTimeout:        opts.HeadTimeout,
		IdleTimeout:        opts.IdleTimeout,
		Concurrency:        opts.Concurrency,
		ReduceMemoryUsage:  opts.ReduceMemory,

		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true,
		NoDefaultContentType:         true,
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
	}
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Refuse == nil {
		o.Refuse = WriteError
	}
	o.MaxHead = positive(o.MaxHead, DefaultMaxHead)
	o.MaxBody = positive(o.MaxBody, DefaultMaxBody)
	o.HeadTimeout = positive(o.HeadTimeout, DefaultHeadTimeout)
	o.BodyTimeout = positive(o.BodyTimeout, DefaultBodyTimeout)
	o.IdleTimeout = positive(o.IdleTimeout, DefaultIdleTimeout)
	if o.Expect == nil {
		o.Expect = o.expect
	}
	return o
}

func positive[T int | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// limit is how many bytes the request's body may have.
func (o Options) limit(header *fasthttp.RequestHeader) int {
	if o.Limit != nil {
		return positive(o.Limit(header), o.MaxBody)
	}
	return o.MaxBody
}

func (o Options) expect(ctx *fasthttp.RequestCtx) int {
	if !o.Stream && ctx.Request.Header.ContentLength() > o.limit(&ctx.Request.Header) {
		return fasthttp.StatusRequestEntityTooLarge
	}
	return fasthttp.StatusContinue
}

// edge is what a server does around its handler.
type edge struct{ Options }

// headerReceived gives the body its own deadline and limit. In streaming mode
// the deadline of the header stays until OpenBody sets another.
func (e *edge) headerReceived(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if e.Stream {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{ReadTimeout: e.BodyTimeout, MaxRequestBodySize: e.limit(header)}
}

func (e *edge) handle(ctx *fasthttp.RequestCtx) {
	defer e.recover(ctx)
	if e.Stream {
		e.Handler(ctx)
		if !bodyRead(ctx) {
			CloseUnread(ctx)
		}
		return
	}
	if refusal := framing(&ctx.Request.Header); refusal != nil {
		e.Refuse(ctx, refusal)
		CloseUnread(ctx)
		return
	}
	e.Handler(ctx)
}

// recover turns a panic into a 500 and closes the connection. The log gets the
// panic's text and where it happened.
func (e *edge) recover(ctx *fasthttp.RequestCtx) {
	cause := recover()
	if cause == nil {
		return
	}
	id, _ := ctx.UserValue(requestIDKey{}).(string)
	e.Log.Error("panic in handler", "panic", fmt.Sprint(cause), "request_id", id, "stack", string(debug.Stack()))
	ctx.Response.Reset()
	if id != "" {
		ctx.Response.Header.Set(headerRequestID, id)
	}
	e.Refuse(ctx, apierr.New(apierr.Internal, "internal error").WithReason("panic"))
	CloseUnread(ctx)
}

// unparsed answers a request that could not be read to its end.
func (e *edge) unparsed(ctx *fasthttp.RequestCtx, err error) {
	refusal := classify(ctx, err)
	if refusal == nil || shakingHands(ctx.Conn()) {
		// A connection that never sent a byte gets no answer: to a client that keeps
		// it for later, the answer would look like that of its next request. One
		// whose TLS handshake failed made no request at all.
		if err := ctx.Conn().Close(); err != nil {
			e.Log.Debug("closing a silent connection", "error", err)
		}
		return
	}
	e.Refuse(ctx, refusal)
	CloseUnread(ctx)
}
