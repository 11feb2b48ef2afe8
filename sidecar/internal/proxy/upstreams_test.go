package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// seen is one whole request as the application behind an upstream's server got it.
type seen struct {
	Method, Target, Host string
	Path                 string // what it chooses the handler by: decoded, merged
	Header               http.Header
	Body                 string
}

// text is everything of it, for searching.
func (s seen) text() string {
	return fmt.Sprintf("%s %s %s %s\n%v\n%s", s.Method, s.Target, s.Path, s.Host, s.Header, s.Body)
}

// upstream records the requests that arrived whole.
type upstream struct {
	URL   string
	joins string // what its server puts between the values of a repeated field; "": keeps them apart

	mu       sync.Mutex
	requests []seen
}

func (u *upstream) add(s seen) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = append(u.requests, s)
}

func (u *upstream) all() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// take is all, which is then forgotten.
func (u *upstream) take() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.requests
	u.requests = nil
	return taken
}

// upstreams are the servers that read a request in four ways.
var upstreams = map[string]func(testing.TB) *upstream{
	"nethttp": stdUpstream, "fasthttp": fastUpstream, "nginx": nginxUpstream, "wsgi": wsgiUpstream,
}

func stdUpstream(t testing.TB) *upstream {
	u := &upstream{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut: it never happened
		}
		for name := range r.Trailer {
			r.Header["Trailer "+name] = r.Trailer[name]
		}
		u.add(seen{Method: r.Method, Target: r.RequestURI, Path: r.URL.Path, Host: r.Host, Header: r.Header, Body: string(body)})
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(server.Close)
	u.URL = server.URL
	return u
}

func fastUpstream(t testing.TB) *upstream {
	u := &upstream{}
	server := &fasthttp.Server{MaxRequestBodySize: 64 << 20, ReadBufferSize: 64 << 10, CloseOnShutdown: true, Handler: func(ctx *fasthttp.RequestCtx) {
		header := http.Header{}
		for name, value := range ctx.Request.Header.All() {
			header[string(name)] = append(header[string(name)], string(value))
		}
		u.add(seen{
			Method: string(ctx.Method()), Target: string(ctx.Request.Header.RequestURI()), Path: string(ctx.Path()), Host: string(ctx.Host()),
			Header: header, Body: string(ctx.Request.Body()),
		})
		ctx.SetBodyString("hello")
	}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown())
		require.NoError(t, <-served)
	})
	u.URL = "http://" + ln.Addr().String()
	return u
}
