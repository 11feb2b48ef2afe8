package httpapi

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/token"
)

// Limit is how many bytes the server should read of a request's body. More than
// an ordinary one is for a batch of decisions, on its way from whom we issued a
// token, and for a bounded number at once; the others send smaller ones.
func (a *API) Limit(header *fasthttp.RequestHeader) int {
	size := header.ContentLength()
	if size >= 0 && size <= jsonBody.limit || !header.IsPost() || !a.namesDecisions(header) || !a.issued(header) || !a.leases.take(a.Now()) {
		return jsonBody.limit
	}
	return decisionBody.limit
}

func (a *API) namesDecisions(header *fasthttp.RequestHeader) bool {
	path, _, _ := strings.Cut(string(header.RequestURI()), "?")
	return path == pathDecisions || path == issuerPath(a.Issuer)+pathDecisions
}

// issued reports a token with our signature. Expired, it still buys the answer
// that it is no good any more, rather than one about the body's size.
func (a *API) issued(header *fasthttp.RequestHeader) bool {
	scheme, raw, _ := strings.Cut(string(header.Peek("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	_, err := a.verifier.Verify(context.Background(), strings.TrimLeft(raw, " "))
	var refusal *token.Error
	return err == nil || errors.As(err, &refusal) && refusal.Reason == token.Expired
}

const (
	maxLeases = 32
	leaseTime = httpx.DefaultBodyTimeout + budgetIngest
)

// leases bounds the large bodies that are being read or worked on. The server
// does not say that one never arrived: a lease ends by itself as well.
type leases struct {
	mu    sync.Mutex
	until []time.Time // oldest first; guarded by mu
}

func (l *leases) take(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.until) > 0 && !now.Before(l.until[0]) {
		l.until = l.until[1:]
	}
	if len(l.until) >= maxLeases {
		return false
	}
	l.until = append(l.until, now.Add(leaseTime))
	return true
}

func (l *leases) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.until) > 0 {
		l.until = l.until[1:]
	}
}
