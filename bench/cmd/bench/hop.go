package main

import (
	"fmt"

	"github.com/valyala/fasthttp"
)

// body is what the upstream answers: a small JSON document.
const body = `{"notes":[{"id":1,"text":"a note of about one hundred bytes, as small API answers are, no more than that"}]}`

// serveUpstream is the protected API.
func serveUpstream(addr string) error {
	server := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.SetBodyString(body)
	}}
	return server.ListenAndServe(addr)
}

// serveBare is the least that a proxy of fasthttp can do: it passes requests on
// as they came. No check, no record, no deadline.
func serveBare(addr, upstream string) error {
	client := &fasthttp.HostClient{Addr: upstream, MaxConns: 1 << 14}
	server := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.Error(fmt.Sprintf("upstream: %v", err), fasthttp.StatusBadGateway)
		}
	}}
	return server.ListenAndServe(addr)
}
