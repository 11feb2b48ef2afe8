package httpapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/decision"
)

const ordinary = 64 << 10

// limit is what the server may read of a request's body; length -1 is chunked.
func (w *world) limit(method, target, token string, length int) int {
	var header fasthttp.RequestHeader
	header.SetMethod(method)
	header.SetRequestURI(target)
	header.SetContentLength(length)
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return w.api.Limit(&header)
}

// Only a batch of decisions may be large, and only with a token of ours.
func TestWhoMaySendMuch(t *testing.T) {
	const path = "/api/v1/audit/decisions"
	w := newWorld(t, setting{issuer: "https://example.com/tenants/idp"})
	token := w.token("admin", w.set.issuer)
	for _, fact := range []struct {
		name, method, target, token string
		length, limit               int
	}{
		{"a batch", "POST", path, token, 1 << 20, decision.MaxBytes},
		{"with a query", "POST", path + "?x", token, 1 << 20, decision.MaxBytes},
		{"below the issuer", "POST", "/tenants/idp" + path, token, 1 << 20, decision.MaxBytes},
		{"chunked", "POST", path, token, -1, decision.MaxBytes},
		{"a small batch", "POST", path, token, ordinary, ordinary},
		{"another method", "PUT", path, token, 1 << 20, ordinary},
		{"another path", "POST", "/x" + path, token, 1 << 20, ordinary},
		{"more of a path", "POST", path + "/", token, 1 << 20, ordinary},
		{"another operation", "POST", "/api/v1/agents", token, 1 << 20, ordinary},
		{"nobody", "POST", path, "", 1 << 20, ordinary},
		{"a forged token", "POST", path, token[:len(token)-8] + "AAAAAAAA", 1 << 20, ordinary},
		{"another audience", "POST", path, w.token("admin", "https://notes.example.com"), 1 << 20, ordinary},
	} {
		require.Equal(t, fact.limit, w.limit(fact.method, fact.target, fact.token, fact.length), fact.name)
	}
	w.clock.advance(2 * time.Hour)
	require.Equal(t, decision.MaxBytes, w.limit("POST", path, token, 1<<20), "expired: it is to hear 401")
}

func (w *world) ship(token string, body []byte) *answer {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+"/api/v1/audit/decisions", bytes.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("X-Sidecar-Id", "5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d")
	return w.send(request, false)
}

// Large bodies under way are bounded. One that ended makes room, whatever the
// answer was, and so does one that never arrived, after a while.
func TestLargeBodiesAreBounded(t *testing.T) {
	w := newWorld(t, setting{})
	token := w.token("admin")
	large := func() int { return w.limit("POST", "/api/v1/audit/decisions", token, 1<<20) }
	for range 31 {
		require.Equal(t, decision.MaxBytes, large())
	}
	body := []byte(strings.Repeat("x", ordinary+1))
	for range 3 {
		require.Equal(t, http.StatusBadRequest, w.ship(token, body).status)
	}
	require.Equal(t, decision.MaxBytes, large())
	require.Equal(t, ordinary, large())
	require.Equal(t, http.StatusRequestEntityTooLarge, w.ship(token, body).status)
	w.clock.advance(time.Minute)
	for range 31 {
		require.Equal(t, decision.MaxBytes, large())
	}
	w.clock.advance(2 * time.Hour)
	for range 33 {
		require.Equal(t, http.StatusUnauthorized, w.ship(token, body).status, "refused ones make room too")
	}
}

func TestIngestIsBounded(t *testing.T) {
	w := newWorld(t, setting{})
	token := w.token("admin")
	w.vars["admin.token"] = token
	w.seed()
	line := []byte(w.vars["line0"])
	require.Equal(t, http.StatusOK, w.ship(token, line).status)

	w.db.held.Lock()
	unlock := sync.OnceFunc(w.db.held.Unlock)
	defer unlock()
	answers := make(chan *answer, 3)
	for range cap(answers) {
		go func() { answers <- w.ship(token, line) }()
	}
	select {
	case a := <-answers:
		require.Equal(t, http.StatusServiceUnavailable, a.status)
		require.Equal(t, "OVERLOADED", a.text("code"))
		require.Equal(t, "1", a.header.Get("Retry-After"))
	case <-time.After(time.Minute):
		require.Fail(t, "nobody is turned away")
	}
	require.Contains(t, w.logs.String(), `"reason":"ingest_busy"`)
	unlock()
	for range cap(answers) - 1 {
		require.Equal(t, http.StatusOK, (<-answers).status)
	}
}
