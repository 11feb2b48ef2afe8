package httpapi

import (
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/alloctest"
)

// What goes with every answer is made once.
func TestDressingAllocatesNothing(t *testing.T) {
	const origin = "https://app.example.com"
	a := &API{Options: Options{Issuer: "https://idp.example.com"}, cors: newCORS([]string{origin})}
	var request fasthttp.Request
	request.Header.Set("Origin", origin)
	var ctx fasthttp.RequestCtx
	ctx.Init(&request, nil, nil)
	for _, route := range []*Route{{Path: prefix + "/agents"}, {Path: pathJWKS}} {
		c := &call{http: &ctx, route: route}
		alloctest.Zero(t, func() {
			ctx.Response.Header.Reset()
			a.dress(c)
			c.empty(fasthttp.StatusOK)
			a.startSpan(&ctx)
		}, route.Path)
	}
}
