package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/trace"
)

// serve is the pipeline of a route: who calls from where, how often, with what
// authority, then the work, then one answer, one log line, two metrics.
func (a *API) serve(route *Route, base string) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		started := a.Now()
		done := a.observe.begin()
		c := a.open(ctx, route, base)
		if err := a.run(c); err != nil {
			c.failure = err
			c.render(apierr.From(err))
		}
		if a.draining.Load() {
			ctx.SetConnectionClose()
		}
		done(route.OperationID, ctx.Response.StatusCode(), a.Now().Sub(started))
		a.logLine(c, a.Now().Sub(started))
		a.exportSpan(c, started)
		a.pace(c)
	}
}

const maxUserAgent = 512

// open copies out of the server's buffers what every request needs.
func (a *API) open(ctx *fasthttp.RequestCtx, route *Route, base string) *call {
	c := &call{http: ctx, route: route, gone: httpx.Gone(ctx)}
	c.path = strings.ToValidUTF8(strings.TrimPrefix(string(ctx.URI().PathOriginal()), base), "\uFFFD")
	c.address = httpx.ClientAddress(httpx.Peer(ctx), c.headers("X-Forwarded-For"), a.TrustedProxies)
	c.origin = idp.Origin{
		UserAgent: strings.ToValidUTF8(clip(c.header("User-Agent"), maxUserAgent), ""),
		RequestID: httpx.RequestID(ctx, a.TrustedProxies),
	}
	if c.address.IsValid() {
		c.origin.IPAddress = c.address.String()
	}
	c.span, c.caller = a.startSpan(ctx)
	a.dress(c)
	c.set("Cache-Control", "no-store")
	if route.oauth {
		c.set("Pragma", "no-cache")
	}
	return c
}

// clip cuts s to at most limit bytes.
func clip(s string, limit int) string { return strings.ToValidUTF8(s[:min(len(s), limit)], "") }

// run is the order in which a request can be refused. A panic is the server's
// last line of defence too; here it still gets its log line and its metrics.
func (a *API) run(c *call) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = apierr.New(apierr.Internal, "internal error").WithReason("panic").WithCause(fmt.Errorf("panic: %v\n%s", fault, debug.Stack()))
		}
	}()
	if c.route.body.limit > jsonBody.limit && len(c.http.Request.Body()) > jsonBody.limit {
		defer a.leases.release()
	}
	budget := c.route.budget
	if budget == 0 {
		budget = budgetDefault
	}
	ctx, cancel := httpx.Context(c.http, budget)
	defer cancel()
	ctx = trace.With(ctx, c.span)
	if err := a.enter(ctx, c); err != nil {
		return inTime(err)
	}
	failpoint.Hit(failpoint.RequestAdmitted)
	err = c.route.handle(a, ctx, c)
	failpoint.Hit(failpoint.RequestDone)
	if err == nil {
		return nil
	}
	return inTime(a.recordUseCase(ctx, c, err))
}

// enter lets a request in. A bearer token comes before all else; client
// authentication is in the body and costs a hash, so the address pays first.
func (a *API) enter(ctx context.Context, c *call) error {
	if c.route.access == byToken {
		if err := a.admit(ctx, c); err != nil {
			return err
		}
		return c.read()
	}
	if err := a.limit(c); err != nil {
		return err
	}
	if err := c.read(); err != nil {
		return err
	}
	return a.admit(ctx, c)
}

// inTime words what is nobody's mistake: the store away, the time up. Whoever
// hears 503 hears when to come back, too.
func inTime(err error) error {
	err = registry.StoreError(err)
	var refusal *apierr.Error
	switch {
	case errors.As(err, &refusal):
		if refusal.Code.Status() == http.StatusServiceUnavailable && refusal.RetryAfter == 0 {
			again := *refusal // it may be shared
			return again.WithRetryAfter(time.Second)
		}
	case errors.Is(err, context.Canceled):
		return apierr.New(apierr.Overloaded, "the request was given up").WithReason("canceled").WithRetryAfter(time.Second).WithCause(err)
	}
	return err
}

// read takes the body of a route that has one: size, media type, coding. It is
// the operation that inflates it. A form's media type is judged where the form
// is read, in OAuth's words.
func (c *call) read() error {
	want := c.route.body
	if want.media == "" {
		return nil
	}
	c.body = c.http.Request.Body()
	if len(c.body) > want.limit {
		return tooLarge(want.limit)
	}
	if c.route.oauth || len(c.body) == 0 && !want.gzip {
		return nil
	}
	if want.gzip && strings.EqualFold(c.header("Content-Encoding"), "gzip") {
		c.gzipped = true
		c.http.Request.Header.Del("Content-Encoding")
	}
	return httpx.CheckMedia(&c.http.Request.Header, want.media)
}

func tooLarge(limit int) error {
	return apierr.New(apierr.PayloadTooLarge, "the body must be at most %d bytes", limit).WithReason("body_too_large")
}

// noRoute answers what no route matches: 405 where another method would, else 404.
func (a *API) noRoute(ctx context.Context, c *call) error {
	if page := slashed(c.path); page != nil && (c.http.IsGet() || c.http.IsHead()) {
		return page(a, ctx, c)
	}
	allowed := a.methodsOf(pathOf(c.http))
	if allowed == nil {
		return noSuchPath()
	}
	c.set("Allow", strings.Join(allowed, ", "))
	return apierr.New(apierr.MethodNotAllowed, "the path has no method %s", clip(string(c.http.Method()), 16)).WithReason("method_not_allowed")
}

// slashed finds the page of a path that ends with a slash, or of the issuer's,
// which does not: the router cannot have a path with its slash and without.
func slashed(path string) handler {
	switch path {
	case "": // the issuer, which is written so
		return (*API).getRoot
	case pathDashboard + "/":
		return (*API).getDashboard
	case pathAPIDocs + "/":
		return (*API).getAPIDocs
	}
	return nil
}

// methodsOf lists the methods that a path has routes for; nil if none.
func (a *API) methodsOf(path string) (methods []string) {
	for _, method := range a.methods {
		if handler, _ := a.router.Lookup(method, path, nil); handler != nil {
			methods = append(methods, method)
		}
	}
	return methods
}

func noSuchPath() error {
	return apierr.New(apierr.NotFound, "no such path").WithReason("no_such_path")
}

// render writes a refusal in the words of the endpoint.
func (c *call) render(refusal *apierr.Error) {
	if c.route.oauth || oauthPath(c.path) {
		httpx.WriteOAuthError(c.http, refusal)
		return
	}
	httpx.WriteError(c.http, refusal)
}

// oauthPath reports the paths whose errors have OAuth's form, also for requests
// that no route saw.
func oauthPath(path string) bool {
	return path == "/authorize" || path == prefix+"/token" || strings.HasPrefix(path, prefix+"/token/")
}
