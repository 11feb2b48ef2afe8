// Hop is what stands behind and beside the sidecar in the benchmark: a small
// API, and the least that a proxy can be. It is a program of its own, so that its
// memory is that of nothing else.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "api":
		return serveAPI(args[1])
	case len(args) == 3 && args[0] == "bare":
		return serveBare(args[1], args[2])
	}
	return errors.New("usage: hop api ADDR | hop bare ADDR UPSTREAM")
}

// body is what the API answers: a small JSON document.
const body = `{"notes":[{"id":1,"text":"a note of about one hundred bytes, as small API answers are, no more than that"}]}`

// serveAPI is what the sidecar protects.
func serveAPI(addr string) error {
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
