// Package upstream owns the connections to the protected APIs: which address of
// an API takes a request, and which of them are in use.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// Options are what all upstreams have in common. The zero value of each takes its default.
type Options struct {
	URL string      // of the default upstream: http://host[:port] or https://…, nothing behind it; "": there is none
	TLS *tls.Config // of https; nil: system roots

	MaxConns      int           // to each URL, unless the upstream says, default 512
	Wait          time.Duration // for a free connection, default 1 s
	DialTimeout   time.Duration // TLS handshake included, default 5 s
	AnswerTimeout time.Duration // from the end of the request to the answer's head, unless upstream or route say, default 30 s
	IdleTimeout   time.Duration // between bytes of a body, either way, default 60 s
	KeepAlive     time.Duration // an idle connection is kept this long, default 4 s: below what servers keep

	Log *slog.Logger // default slog.Default
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (o Options) withDefaults() Options {
	o.MaxConns = or(o.MaxConns, 512)
	o.Wait = or(o.Wait, time.Second)
	o.DialTimeout = or(o.DialTimeout, 5*time.Second)
	o.AnswerTimeout = or(o.AnswerTimeout, 30*time.Second)
	o.IdleTimeout = or(o.IdleTimeout, time.Minute)
	o.KeepAlive = or(o.KeepAlive, 4*time.Second)
	o.Log = or(o.Log, slog.Default())
	return o
}

// Upstream is one API. It is safe for concurrent use.
type Upstream struct {
	spec    route.Upstream
	timeout time.Duration
	servers []*Server
	log     *slog.Logger
	retired atomic.Bool // connections are closed when they come back

	stop     context.CancelFunc
	watching context.Context // ends with stop
	tasks    sync.WaitGroup
	started  sync.Once
}

// newUpstream opens nothing. ctx ends every connection.
func newUpstream(ctx context.Context, o *Options, spec route.Upstream) (*Upstream, error) {
	u := &Upstream{spec: spec, timeout: or(spec.Timeout, o.AnswerTimeout), log: o.Log}
	u.watching, u.stop = context.WithCancel(ctx)
	var errs []error
	for _, text := range spec.URLs {
		target, err := route.ParseUpstream(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s := newServer(ctx, u, target, o, or(spec.MaxConnections, o.MaxConns))
		s.health.up.Store(true)
		u.servers = append(u.servers, s)
	}
	return u, errors.Join(errs...)
}

// Name is the one in the route file, or that of the default.
func (u *Upstream) Name() string { return or(u.spec.Name, route.DefaultUpstream) }

// Timeout is how long an answer's head may take.
func (u *Upstream) Timeout() time.Duration { return u.timeout }

// Unavailable is the error of an upstream none of whose servers is in use.
type Unavailable struct{ RetryAfter time.Duration }

func (e *Unavailable) Error() string {
	return fmt.Sprintf("no server of the upstream is in use; tried again in %s", e.RetryAfter)
}

// Acquire gives a connection to the server in use with the fewest exchanges, to
// another one than avoid if it can. Errors: *Unavailable at once when none is in
// use, ErrBusy, or that of dialling the server that the line names.
func (u *Upstream) Acquire(avoid *Server) (Line, error) {
	s := u.pick(avoid)
	if s == nil {
		return Line{}, &Unavailable{RetryAfter: u.soonest()}
	}
	return s.acquire()
}

// HTTP2 reports which of Open and Acquire is meant for it.
func (u *Upstream) HTTP2() bool { return u.spec.HTTP2 }

// Open reserves a request on a connection to a server that speaks HTTP/2, which
// it chooses as Acquire does and with the same errors. ctx bounds the wait.
func (u *Upstream) Open(ctx context.Context, avoid *Server) (*Stream, error) {
	s := u.pick(avoid)
	if s == nil {
		return &Stream{}, &Unavailable{RetryAfter: u.soonest()}
	}
	return s.shared.open(ctx)
}

// Alternative reports whether a server other than s is in use.
func (u *Upstream) Alternative(s *Server) bool {
	other := u.pick(s)
	return other != nil && other != s
}

func (u *Upstream) pick(avoid *Server) *Server {
	n := len(u.servers)
	var best *Server
	if n > 1 {
		start := rand.IntN(n) //nolint:gosec // nothing to guess
		for i := range n {
			s := u.servers[(start+i)%n]
			if s != avoid && s.health.up.Load() && (best == nil || s.inFlight.Load() < best.inFlight.Load()) {
				best = s
			}
		}
		if best != nil {
			return best
		}
		best = avoid
	} else {
		best = u.servers[0]
	}
	if best != nil && best.health.up.Load() {
		return best
	}
	return nil
}

// soonest is how long it takes until a server is tried again.
func (u *Upstream) soonest() time.Duration {
	least := longestPause
	for _, s := range u.servers {
		s.health.mu.Lock()
		least = min(least, time.Until(s.health.retry))
		s.health.mu.Unlock()
	}
	return max(least, 0)
}

// start watches the servers until the upstream retires.
func (u *Upstream) start() {
	u.started.Do(func() {
		for _, s := range u.servers {
			u.tasks.Go(func() { s.watch(u.watching) })
		}
	})
}

// retire ends the watch. Exchanges go on; their connections end with them.
func (u *Upstream) retire() {
	u.retired.Store(true)
	u.stop()
	for _, s := range u.servers {
		s.pool.CloseIdleConnections()
		if s.shared != nil {
			s.shared.retire()
		}
	}
}

// IdleTimeout is how long a server may be silent within a body, and take nothing of one.
func (u *Upstream) IdleTimeout() time.Duration { return u.servers[0].idleLimit }
