package httpx

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// classify words why a request could not be read, without a byte of it; nil if
// the connection timed out before it sent any.
func classify(ctx *fasthttp.RequestCtx, err error) *apierr.Error {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	c := connOf(ctx)
	switch {
	case errors.As(err, &small):
		if c != nil && !Secured(ctx) && !c.lined.Load() {
			return apierr.New(apierr.URITooLong, "the request target is too long").WithReason("uri_too_long")
		}
		return apierr.New(apierr.HeaderTooLarge, "the request header is too large").WithReason("header_too_large")
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return tooLarge()
	case errors.As(err, &network) && network.Timeout():
		if c != nil && !c.heard.Load() {
			return nil
		}
		return tooSlow()
	}
	return malformed("malformed_request")
}

func tooLarge() *apierr.Error {
	return apierr.New(apierr.PayloadTooLarge, "the request body is too large").WithReason("body_too_large")
}

func tooSlow() *apierr.Error {
	return apierr.New(apierr.RequestTimeout, "the request took too long to arrive").WithReason("request_timeout")
}

func malformed(reason string) *apierr.Error {
	return apierr.New(apierr.ValidationFailed, "the request is malformed").WithReason(reason)
}

// serverLog takes fasthttp's own messages. Their errors can quote the request,
// so only the class of an error is logged, and only for debugging: any client
// can cause one.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	level := slog.LevelWarn
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = arg
		if err, failed := arg.(error); failed {
			level, shown[i] = slog.LevelDebug, class(err)
		}
	}
	l.log.Log(background, level, "http server", "event", fmt.Sprintf(format, shown...))
}

func class(err error) string {
	var tooLarge *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return "header too large"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return "body too large"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &network):
		return "network error"
	}
	return "malformed request"
}
