package vaulttest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server and makes trouble. Safe for concurrent use.
type Proxy struct {
	Addr string

	mu       sync.Mutex
	delay    time.Duration
	before   func(*http.Request)
	instead  http.HandlerFunc
	requests []string
}

// NewProxy starts a proxy that ends with the test.
func (s *Server) NewProxy(t testing.TB) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport = transport
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	p := &Proxy{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+r.URL.Path)
		delay, before, instead := p.delay, p.before, p.instead
		p.mu.Unlock()
		if before != nil {
			before(r)
		}
		// Only who has read the body learns that the client left.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		if instead != nil {
			instead(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	p.Addr = server.URL
	t.Cleanup(func() { server.CloseClientConnections(); server.Close(); transport.CloseIdleConnections() })
	return p
}

// SetDelay makes every answer come that much later.
func (p *Proxy) SetDelay(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// Before runs something before each request goes on.
func (p *Proxy) Before(run func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = run
}

// Instead answers in the place of the server; nil: the server answers.
func (p *Proxy) Instead(handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.instead = handler
}

// Requests returns and forgets what was asked, as "GET /v1/…".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := p.requests
	p.requests = nil
	return requests
}
