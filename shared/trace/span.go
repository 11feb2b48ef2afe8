package trace

import (
	"context"
	"net/http"
	"time"
)

// Span is a piece of work that ended: what an exporter is given.
type Span struct {
	Context Context
	Parent  Context // the caller's span; zero for the first of a trace
	Name    string  // of a bounded set
	Start   time.Time
	End     time.Time
	Failed  bool        // for a fault of ours
	Text    [][2]string // attributes; an empty value is none
	Numbers []Number
}

// Number is an attribute that counts.
type Number struct {
	Name  string
	Value int
}

type contextKey struct{}

// With puts the span into the context of the work that belongs to it.
func With(ctx context.Context, span Context) context.Context {
	return context.WithValue(ctx, contextKey{}, span)
}

// From is the span that ctx belongs to; zero if none.
func From(ctx context.Context) Context {
	span, _ := ctx.Value(contextKey{}).(Context)
	return span
}

// Transport passes the span of a request's context on to whom it calls. Without
// one the request goes out as it is. A nil next is http.DefaultTransport.
func Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return transport{next}
}

type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	span := From(request.Context())
	if !span.Valid() {
		return t.next.RoundTrip(request)
	}
	request = request.Clone(request.Context()) // RoundTrip must not change the request
	Inject(request.Header, span)
	return t.next.RoundTrip(request)
}

// Inject names span, which must be valid, as the caller in an outgoing request.
func Inject(header http.Header, span Context) {
	header.Set(HeaderParent, string(span.AppendParent(nil)))
	if span.State == "" {
		header.Del(HeaderState)
		return
	}
	header.Set(HeaderState, span.State)
}

// CloseIdleConnections closes those of the transport behind.
func (t transport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
