package clientauth

import (
	"context"
	"errors"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/obs"
)

// Hashing is slow by design, so everything that hashes stands in one line.

// ReasonBusy is of OVERLOADED: too many are being authenticated.
const ReasonBusy = "authentication_busy"

var (
	errTooLong = errors.New("waited too long for a hash")
	errGone    = errors.New("the caller left")
)

type meters struct {
	hits, misses *metrics.Counter
	refused      *metrics.Counter
	shared       *metrics.Counter
	lost         *metrics.Counter
	durations    *metrics.PrometheusHistogram
}

func newMeters(set *metrics.Set, line *turnstile.Turnstile) meters {
	set.NewGauge("agentidp_secret_hash_queue_length", func() float64 { return float64(line.Waiting()) })
	return meters{
		hits:      set.NewCounter("agentidp_client_auth_cache_hits_total"),
		misses:    set.NewCounter("agentidp_client_auth_cache_misses_total"),
		refused:   set.NewCounter("agentidp_secret_hash_refused_total"),
		shared:    set.NewCounter("agentidp_secret_hash_shared_total"),
		lost:      set.NewCounter("agentidp_secrets_lost_total"),
		durations: obs.Durations(set, "agentidp_secret_hash_seconds"),
	}
}

// enter waits for the right to hash. A waiter whose caller left, or whose ctx
// ended, is dropped without hashing. After nil the caller must leave the line.
func (a *Authenticator) enter(ctx context.Context, gone func() bool) error {
	wait, cancel := context.WithTimeoutCause(ctx, a.options.MaxWait, errTooLong)
	defer cancel()
	err := a.line.Enter(wait)
	reason := ReasonBusy
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
		return busy(ReasonBusy, err)
	default:
		return apierr.New(apierr.Unavailable, "the client cannot be authenticated now").
			WithReason("secret_undecided").WithRetryAfter(time.Second).WithCause(err)
	}
}

// lost is the answer for a secret that nobody can prove any more, through no
// fault of the client. Trying again does not help; a rotation does.
func (a *Authenticator) lost() error {
	a.meters.lost.Inc()
	return apierr.New(apierr.Unavailable, "the client cannot be authenticated now").
		WithReason("secret_lost").WithRetryAfter(time.Minute).WithCause(ErrLost)
}

// standing is where one attempt stands: in the line or outside, where it need not
// wait. It is given up for hashes that keep no core busy.
type standing struct {
	a      *Authenticator
	gone   func() bool
	inside bool
	since  time.Time // when it went in
}

func (p *standing) verify(ctx context.Context, credentialID string, hash idp.SecretHash, secret string) (bool, error) {
	switch light := p.a.schemes.light(hash); {
	case light:
		p.leave()
	case !p.inside:
		if err := p.a.enter(ctx, p.gone); err != nil {
			return false, err
		}
		p.inside, p.since = true, time.Now()
	}
	defer p.a.measure(time.Now())
	return p.a.schemes.verify(ctx, credentialID, hash, secret)
}

func (p *standing) leave() {
	if p.inside {
		p.inside = false
		p.a.line.Leave()
	}
}

// restMost is of a program that was stopped while it hashed.
const restMost = time.Second

// rest is how a refused attempt leaves: its place stays empty for as long again as
// it was taken, restMost at most, so that a flood of them hashes half of the time
// only. A hash yields its core to nobody by itself, and there may be but one.
// Nobody waits for the rest but who comes next.
func (p *standing) rest() {
	if p.inside {
		p.inside = false
		time.AfterFunc(min(restMost, time.Since(p.since)), p.a.line.Leave)
	}
}

func (a *Authenticator) measure(started time.Time) {
	a.meters.durations.Update(time.Since(started).Seconds())
}

// Hash makes a hash of a credential's new secret in the configured scheme. It
// stands in the same line: making credentials takes no more cores than proving
// them. A line that is too long answers OVERLOADED.
func (a *Authenticator) Hash(ctx context.Context, credentialID, secret string) (idp.SecretHash, error) {
	if _, isLight := a.options.Hasher.(light); !isLight {
		if err := a.enter(ctx, nil); err != nil {
			return idp.SecretHash{}, err
		}
		defer a.line.Leave()
	}
	defer a.measure(time.Now())
	return a.options.Hasher.Hash(ctx, credentialID, secret)
}

// Hasher is what makes the hashes of new secrets.
func (a *Authenticator) Hasher() *Authenticator { return a }
