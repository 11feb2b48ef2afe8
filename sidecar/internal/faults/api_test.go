package faults

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// api is what sidecars protect. It remembers whose requests reached it.
type api struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // X-Request-Id of each request: the decision that let it pass
}

const largeBody = 300 << 10

// newAPI answers at once (/notes/…), after some milliseconds (/wait/{ms}), or with a
// body that does not fit in a buffer (/large).
func newAPI(t *testing.T) *api {
	a := &api{}
	large := bytes.Repeat([]byte("x"), largeBody)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, r.Header.Get("X-Request-Id"))
		a.mu.Unlock()
		if ms, found := strings.CutPrefix(r.URL.Path, "/wait/"); found {
			n, err := strconv.Atoi(ms)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
		if r.URL.Path == "/large" {
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			_, _ = w.Write(large)
			return
		}
		fmt.Fprintf(w, `{"caller":%q}`, r.Header.Get("X-Agent-Id"))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.seen...)
}
