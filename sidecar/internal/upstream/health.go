package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	connectFailures = 5 // in a row put a server out of use
	checkFailures   = 2 // as well; the one after the first comes early
	firstPause      = 500 * time.Millisecond
	longestPause    = 10 * time.Second
	recheck         = time.Second
)

// health is whether a server is in use. Only what concerns the server as such
// counts: connections that cannot be made, and its answers to health checks.
// What one request meets, such as a timeout, says nothing about others.
type health struct {
	up       atomic.Bool
	connects atomic.Int64 // failed ones in a row
	failed   [2]atomic.Uint64
	woken    chan struct{} // it went down; of capacity 1

	mu     sync.Mutex
	checks int           // failed ones in a row; guarded by mu
	asked  bool          // it was checked before; guarded by mu
	pause  time.Duration // before it is tried again; guarded by mu
	retry  time.Time     // when that is; guarded by mu
	why    error         // of the latest failure while it is down; guarded by mu
}

// Kinds of failures, as indices of failed.
const (
	connectKind = iota
	checkKind
)

// Failures are the kinds that are counted.
var Failures = [...]string{"connect", "health"}

func newHealth() health { return health{woken: make(chan struct{}, 1)} }

// served notes that the server takes connections or answers.
func (h *health) served() {
	if h.connects.Load() != 0 {
		h.connects.Store(0)
	}
}

func (s *Server) connectFailed(err error) {
	s.health.failed[connectKind].Add(1)
	if s.health.connects.Add(1) >= connectFailures {
		s.setDown(err)
	}
}

// setDown puts the server out of use, until it can be reached again.
func (s *Server) setDown(err error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.up.Load() {
		return
	}
	h.up.Store(false)
	h.pause, h.why = firstPause, err
	h.retry = time.Now().Add(h.pause)
	select {
	case h.woken <- struct{}{}:
	default:
	}
	s.upstream.log.Warn("upstream server out of use", slog.String("upstream", s.upstream.Name()), slog.String("url", s.url), slog.Any("error", err))
}

func (s *Server) setUp() {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connects.Store(0)
	h.checks, h.why = 0, nil
	if !h.up.Swap(true) {
		s.upstream.log.Info("upstream server in use again", slog.String("upstream", s.upstream.Name()), slog.String("url", s.url))
	}
}

// watch tries a server that is down again and again, less and less often, and
// asks one that is up for its health, if it is to be asked, until ctx ends.
func (s *Server) watch(ctx context.Context) {
	for {
		timer := time.NewTimer(s.nextTry())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.health.woken:
			timer.Stop()
		case <-timer.C:
			s.try(ctx)
		}
	}
}

// nextTry is how long to wait for it.
func (s *Server) nextTry() time.Duration {
	h, asks := &s.health, s.upstream.spec.Health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.up.Load():
		return max(0, time.Until(h.retry))
	case asks.Path == "":
		return math.MaxInt64 // until it is woken
	case !h.asked:
		return 0
	case h.checks > 0:
		return min(asks.Interval, recheck)
	}
	return jitter(asks.Interval)
}

// jitter varies d by a tenth either way, so that a fleet does not move in step.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // nothing to guess
}

func (s *Server) try(ctx context.Context) {
	err := s.check(ctx)
	if ctx.Err() != nil {
		return
	}
	h := &s.health
	h.mu.Lock()
	h.asked = true
	if err != nil {
		h.checks++
		if s.upstream.spec.Health.Path != "" {
			h.failed[checkKind].Add(1)
		}
		if !h.up.Load() {
			h.pause, h.why = min(2*h.pause, longestPause, or(s.upstream.spec.Health.Interval, longestPause)), err
			h.retry = time.Now().Add(jitter(h.pause))
		}
	}
	down := err != nil && h.checks >= checkFailures
	h.mu.Unlock()
	switch {
	case err == nil:
		s.setUp()
	case down:
		s.setDown(err)
	}
}

// check asks for the server's health, or only connects.
func (s *Server) check(ctx context.Context) error {
	asks := s.upstream.spec.Health
	limit := s.dialLimit
	if asks.Path != "" {
		limit = asks.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if s.shared != nil {
		return s.shared.check(ctx, asks.Path)
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it served its purpose
	if asks.Path == "" {
		return nil
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: agentidp-sidecar\r\nConnection: close\r\n\r\n", asks.Path, s.authority); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, bufferSize)), nil)
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // not read, as its connection is not used again
	return healthy(answer.StatusCode)
}

func healthy(status int) error {
	if status < 200 || status >= 400 {
		return fmt.Errorf("answered %d", status)
	}
	return nil
}
