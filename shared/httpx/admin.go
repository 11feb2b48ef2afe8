package httpx

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// probeBudget is how long a probe may take.
const probeBudget = 5 * time.Second

// Probe looks at the program's state: an HTTP status and a body for JSON.
type Probe func(ctx context.Context) (status int, body any)

// AdminOptions is what an admin address shows. What is nil is not found there.
type AdminOptions struct {
	Health       Probe           // GET /health
	Live         Probe           // GET /health/live: touches nothing outside the process
	Ready        Probe           // GET /ready
	WriteMetrics func(io.Writer) // GET /metrics
	Profiles     bool            // GET /debug/pprof/: see obs.RecordContention
}

// AdminHandler answers on the address for operators, which no client of the
// program can reach: the probes, the metrics, and the profiles where they are on.
func AdminHandler(opts AdminOptions) fasthttp.RequestHandler {
	probes := map[string]Probe{"/health": opts.Health, "/health/live": opts.Live, "/ready": opts.Ready}
	return func(ctx *fasthttp.RequestCtx) {
		path := string(ctx.Path())
		probe := probes[path]
		metrics := path == "/metrics" && opts.WriteMetrics != nil
		profile := opts.Profiles && (path == "/debug/pprof" || strings.HasPrefix(path, "/debug/pprof/"))
		switch {
		case probe == nil && !metrics && !profile:
			WriteError(ctx, apierr.New(apierr.NotFound, "there is nothing here").WithReason("not_found"))
		case !ctx.IsGet() && !ctx.IsHead():
			ctx.Response.Header.Set("Allow", "GET, HEAD")
			WriteError(ctx, apierr.New(apierr.MethodNotAllowed, "only GET and HEAD are allowed").WithReason("method_not_allowed"))
		case probe != nil:
			WriteProbe(ctx, probe)
		case metrics:
			WriteMetrics(ctx, opts.WriteMetrics)
		default:
			if path == "/debug/pprof/" {
				ctx.URI().SetPath("/debug/pprof") // the handler refuses the slash that the index's links need
			}
			pprofhandler.PprofHandler(ctx)
			ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
			SetSecurityHeaders(&ctx.Response.Header)
		}
	}
}

// WriteProbe runs the probe, for five seconds at most, and answers with it.
func WriteProbe(ctx *fasthttp.RequestCtx, probe Probe) {
	limited, cancel := Context(ctx, probeBudget)
	defer cancel()
	status, body := probe(limited)
	WriteJSON(ctx, status, body)
}

// WriteMetrics answers in the Prometheus text format.
func WriteMetrics(ctx *fasthttp.RequestCtx, write func(io.Writer)) {
	var b bytes.Buffer
	write(&b)
	SetSecurityHeaders(&ctx.Response.Header)
	ctx.Response.Header.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	ctx.SetBody(b.Bytes())
}
