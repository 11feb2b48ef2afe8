package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/policy"
)

// What pages of the configured origins may do. There are no credentials of the
// browser's own here: a page that calls must hold a token.
var (
	varyOrigin     = httpx.NewField("Vary", "Origin")
	exposedHeaders = httpx.NewField("Access-Control-Expose-Headers", "ETag, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id")
	allowedHeaders = httpx.NewField("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, Traceparent")
	preflightAge   = httpx.NewField("Access-Control-Max-Age", "600")
)

const headerAllowMethods = "Access-Control-Allow-Methods"

// cors is who may call from a browser; nil: nobody, and nothing is said about it.
type cors map[string]httpx.Field // by origin, its Access-Control-Allow-Origin

func newCORS(origins []string) cors {
	if len(origins) == 0 {
		return nil
	}
	c := cors{}
	for _, origin := range origins {
		c[origin] = httpx.NewField("Access-Control-Allow-Origin", origin)
	}
	return c
}

// CheckOrigin says what is wrong with an origin to configure. It must be written
// as browsers do, for it is compared byte for byte.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || strings.ContainsAny(origin, "*, ") {
		return errors.New("must be an origin: https://host[:port] in lower case, nothing behind it")
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" || strings.HasSuffix(u.Host, ":") {
		return errors.New("must not name the default port: browsers leave it out")
	}
	address, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && address.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return errors.New("must be https, or http on loopback")
	}
	return nil
}

// origin finds the field for the request's origin, if it is configured.
func (c cors) origin(request *fasthttp.RequestHeader) (httpx.Field, bool) {
	field, known := c[string(request.Peek("Origin"))]
	return field, known
}

// allow lets a configured origin read the answer. The answers to others are kept
// apart from it by caches.
func (c cors) allow(http *fasthttp.RequestCtx) {
	if c == nil {
		return
	}
	header := &http.Response.Header
	varyOrigin.Set(header)
	if origin, known := c.origin(&http.Request.Header); known {
		origin.Set(header)
		exposedHeaders.Set(header)
	}
}

// isPreflight reports a preflight (Fetch standard, section 4.8) of a configured
// origin for a path that there is. Any other OPTIONS is a method no route has.
func (a *API) isPreflight(http *fasthttp.RequestCtx) bool {
	if a.cors == nil || !http.IsOptions() || len(http.Request.Header.Peek("Access-Control-Request-Method")) == 0 {
		return false
	}
	_, known := a.cors.origin(&http.Request.Header)
	return known && a.methodsOf(pathOf(http)) != nil
}

// pathOf is the path that the router matches.
func pathOf(http *fasthttp.RequestCtx) string { return string(http.URI().PathOriginal()) }

// newPreflight is no operation: it needs no token, is under no limit and leaves
// nothing in the audit log.
func newPreflight() *Route {
	return &Route{Method: http.MethodOptions, OperationID: "preflight", Capability: policy.Public, access: byAnyone, unlimited: true, quiet: true, handle: (*API).answerPreflight}
}

// answerPreflight names the methods of the path.
func (a *API) answerPreflight(_ context.Context, c *call) error {
	header := &c.http.Response.Header
	header.Set(headerAllowMethods, strings.Join(a.methodsOf(pathOf(c.http)), ", "))
	allowedHeaders.Set(header)
	preflightAge.Set(header)
	c.empty(http.StatusNoContent)
	return nil
}
