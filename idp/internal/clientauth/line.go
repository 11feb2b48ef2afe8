package clientauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/obs"
)

// Hashing is slow by design, so everything that hashes stands in one line.

var (
	errTooLong = errors.New("waited too long for a hash")
	errGone    = errors.New("the caller left")
)

type meters struct {
	hits, misses *metrics.Counter
	refused      *metrics.Counter
	durations    *metrics.PrometheusHistogram
}

func newMeters(set *metrics.Set, line *turnstile.Turnstile) meters {
	set.NewGauge("agentidp_secret_hash_queue_length", func() float64 { return float64(line.Waiting()) })
	return meters{
		hits:      set.NewCounter("agentidp_client_auth_cache_hits_total"),
		misses:    set.NewCounter("agentidp_client_auth_cache_misses_total"),
		refused:   set.NewCounter("agentidp_secret_hash_refused_total"),
		durations: obs.Durations(set, "agentidp_secret_hash_seconds"),
	}
}

// enter waits for the right to hash. A waiter whose caller left, or whose ctx
// ended, is dropped without hashing. After nil the caller must leave the line.
func (a *Authenticator) enter(ctx context.Context, gone func() bool) error {
	wait, cancel := context.WithTimeoutCause(ctx, a.options.MaxWait, errTooLong)
	defer cancel()
	err := a.line.Enter(wait)
	reason := "authentication_busy"
	if err == nil && gone != nil && gone() {
		a.line.Leave()
		err, reason = errGone, "caller_gone"
	}
	if err == nil {
		return nil
	}
	a.meters.refused.Inc()
	return busy(reason, err)
}

func busy(reason string, cause error) error {
	return apierr.New(apierr.Overloaded, "too many clients are being authenticated").
		WithReason(reason).WithRetryAfter(2 * time.Second).WithCause(cause)
}

// undecided is what a hasher's error means: the client is not to blame for it.
func (a *Authenticator) undecided(ctx context.Context, err error) error {
	var refusal *apierr.Error
	switch {
	case errors.As(err, &refusal):
		return err
	case ctx.Err() != nil:
		return busy("authentication_busy", err)
	default:
		return apierr.New(apierr.Internal, "internal error").WithReason("secret_hash_failed").WithCause(err)
	}
}

// verify runs one hash; the caller stands at the head of the line.
func (a *Authenticator) verify(ctx context.Context, hash idp.SecretHash, secret string) (bool, error) {
	h, known := a.schemes[hash.Scheme]
	if !known {
		return false, fmt.Errorf("clientauth: no hasher for the scheme %q", hash.Scheme)
	}
	defer a.measure(time.Now())
	return h.Verify(ctx, hash, secret)
}

func (a *Authenticator) measure(started time.Time) {
	a.meters.durations.Update(time.Since(started).Seconds())
}

// Hasher is the configured hasher behind the line of the Authenticator: making
// credentials takes no more cores than proving them.
func (a *Authenticator) Hasher() Hasher { return lined{a.options.Hasher, a} }

type lined struct {
	Hasher
	a *Authenticator
}

func (l lined) Hash(ctx context.Context, secret string) (idp.SecretHash, error) {
	if err := l.a.enter(ctx, nil); err != nil {
		return idp.SecretHash{}, err
	}
	defer l.a.line.Leave()
	defer l.a.measure(time.Now())
	return l.Hasher.Hash(ctx, secret)
}

func (l lined) Verify(ctx context.Context, hash idp.SecretHash, secret string) (bool, error) {
	if err := l.a.enter(ctx, nil); err != nil {
		return false, err
	}
	defer l.a.line.Leave()
	return l.a.verify(ctx, hash, secret)
}
