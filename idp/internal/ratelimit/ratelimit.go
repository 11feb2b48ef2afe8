// Package ratelimit is the policy on requests per client, and its wording as
// response headers. The counting is package volatile's.
package ratelimit

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
)

// Options says what is limited. The zero value limits nothing.
type Options struct {
	Limit  int           // requests a key may make in any Window; 0 = no limit; at most a million
	Window time.Duration // default one minute; at most a day

	Limiter volatile.Limiter // who counts; default: this process
	Now     func() time.Time // of the default Limiter; default time.Now
}

// Limiter is safe for concurrent use. A nil Limiter allows everything.
type Limiter struct {
	limit  int
	window time.Duration
	counts volatile.Limiter
}

// Verdict is what one request gets.
type Verdict = volatile.Verdict

// New makes a limiter; nil if opts limits nothing.
func New(opts Options) *Limiter {
	if opts.Limit <= 0 {
		return nil
	}
	if opts.Window <= 0 || opts.Window > volatile.MaxWindow {
		opts.Window = time.Minute
	}
	if opts.Limiter == nil {
		opts.Limiter = local.NewLimiter(local.LimiterOptions{Now: opts.Now})
	}
	return &Limiter{limit: opts.Limit, window: opts.Window, counts: opts.Limiter}
}

// Take counts a request of the key, if it may go on. IPv6 addresses are folded
// to their /64 by the caller.
func (l *Limiter) Take(ctx context.Context, key string) Verdict {
	if l == nil {
		return Verdict{Allowed: true}
	}
	return l.counts.Take(ctx, key, l.limit, l.window)
}

// Allow is Take without a deadline of the caller's own: the counting has one.
func (l *Limiter) Allow(key string) Verdict { return l.Take(context.Background(), key) }
