package httpx

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"
)

// Context gives the work on a request a context with its id and a deadline
// budget from now. fasthttp's own ends only with the server, and must not leave
// the handler. A budget of 0 is none. The caller cancels.
func Context(ctx *fasthttp.RequestCtx, budget time.Duration) (context.Context, context.CancelFunc) {
	parent := background
	if id, known := ctx.UserValue(requestIDKey{}).(string); known {
		parent = context.WithValue(parent, requestIDKey{}, id)
	}
	if budget <= 0 {
		return context.WithCancel(parent)
	}
	return context.WithTimeout(parent, budget)
}

// RequestIDOf is the request id that Context put into ctx; "" if none.
func RequestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
