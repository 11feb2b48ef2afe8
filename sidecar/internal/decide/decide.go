// Package decide asks the policy whether a verified request may pass, and
// remembers the answers. A remembered answer is what the policy in force would
// say again: it is found by everything that the policy can read.
package decide

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/policy"
)

// Options of a Decider; zero values take the defaults.
type Options struct {
	CacheBytes int64         // bound of the cache, default 8 MiB; negative: no cache
	MaxTTL     time.Duration // a decision is forgotten after it, default and at most 60 s
	InFlight   int           // evaluations at a time, default 2 × GOMAXPROCS
	MaxWait    time.Duration // for a free evaluation, default 50 ms; then policy_timeout
	Metrics    *metrics.Set  // nil: not counted anywhere
	Now        func() time.Time
}

const (
	defaultCacheBytes = 8 << 20
	maxTTL            = time.Minute
	defaultMaxWait    = 50 * time.Millisecond
)

func (o Options) withDefaults() Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MaxTTL <= 0 || o.MaxTTL > maxTTL {
		o.MaxTTL = maxTTL
	}
	if o.InFlight <= 0 {
		o.InFlight = 2 * runtime.GOMAXPROCS(0)
	}
	if o.MaxWait <= 0 {
		o.MaxWait = defaultMaxWait
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Decider is safe for concurrent use. Close it after the last Decide.
type Decider struct {
	holder  *policy.Holder
	cache   *cache        // nil: off
	slots   chan struct{} // one element per evaluation under way
	maxWait time.Duration
	seconds *metrics.PrometheusHistogram
}

// New makes a Decider over the policy that holder has in force at each moment.
func New(holder *policy.Holder, options Options) (*Decider, error) {
	options = options.withDefaults()
	d := &Decider{
		holder:  holder,
		slots:   make(chan struct{}, options.InFlight),
		maxWait: options.MaxWait,
		seconds: options.Metrics.NewPrometheusHistogramExt("sidecar_policy_evaluation_seconds",
			[]float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 5e-2, 1e-1, 2.5e-1}),
	}
	if options.CacheBytes > 0 {
		var err error
		if d.cache, err = newCache(options); err != nil {
			return nil, err
		}
	}
	options.Metrics.NewGauge("sidecar_policy_evaluations_in_flight", func() float64 { return float64(len(d.slots)) })
	return d, nil
}

// Close ends the cache.
func (d *Decider) Close() {
	if d.cache != nil {
		d.cache.entries.Close()
	}
}

// Decide judges one request. digest is the SHA-256 of the token that in.Agent
// and in.Token were read from, zero without a token. A sidecar understands no
// obligations, so a permission that carries one is a denial. An error comes
// with a denial of the same reason, policy_error, policy_timeout or policy_missing: 503.
// The Decision is shared: read only.
func (d *Decider) Decide(ctx context.Context, digest [32]byte, in policy.Input) (policy.Decision, error) {
	// Rules for operations of the management API, whose ids hold no slash, must stay out of reach.
	if !strings.Contains(in.Route.ID, "/") {
		return d.unavailable(policy.ReasonError, fmt.Errorf("route id %q holds no slash", in.Route.ID))
	}
	engine, epoch := d.holder.Current()
	cacheable := d.cache != nil && standsFor(&digest, &in)
	if cacheable {
		if decision, found := d.cache.get(newKey(&digest, &in, engine, epoch), scopeOf(&in, engine)); found {
			return decision, nil
		}
	}
	if err := d.acquire(ctx); err != nil {
		return d.unavailable(policy.ReasonTimeout, err)
	}
	defer func() { <-d.slots }()

	// The policy may have changed during the wait.
	engine, epoch = d.holder.Current()
	start := time.Now()
	decision, err := engine.Decide(ctx, in)
	d.seconds.UpdateDuration(start)
	if err == nil && cacheable {
		d.cache.put(newKey(&digest, &in, engine, epoch), scopeOf(&in, engine), decision, in.Token.ExpiresAt)
	}
	return decision, err
}

func (d *Decider) unavailable(reason string, cause error) (policy.Decision, error) {
	decision, err := policy.Unavailable(reason, cause)
	decision.Revision = d.holder.Revision()
	return decision, err
}

var errBusy = errors.New("no evaluation became free in time")

// acquire takes a slot; the caller gives it back.
func (d *Decider) acquire(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(d.maxWait)
	defer timer.Stop()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}
