package syncer

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

// Keys is the issuer's key set, kept current. A fetch that fails, or brings
// nothing usable, changes nothing: the last good set counts until KeysMaxStale.
// It is safe for concurrent use.
type Keys struct {
	opts   Options
	source *keySource
	log    *slog.Logger

	// view is what readers see; replaced whole, by load and fetch.
	view    atomic.Pointer[keyView]
	trouble trouble

	life    context.Context // of fetches
	end     context.CancelFunc
	fetches sync.WaitGroup

	mu      sync.Mutex
	flight  *flight       // the fetch under way; guarded by mu
	tried   time.Time     // when the last fetch began; guarded by mu
	unknown *unknownNames // guarded by mu

	good, bad, unknownKID *metrics.Counter
}

// keyView is a key set and when the issuer last confirmed it. It is immutable.
type keyView struct {
	set   *token.KeySet
	epoch uint64
	at    time.Time
}

// flight is one fetch that several callers may wait for.
type flight struct {
	done chan struct{}
	good bool // the issuer answered; written before done is closed
}

func newKeys(c *client, opts Options) (*Keys, error) {
	k := &Keys{
		opts: opts, log: opts.Logger, unknown: newUnknownNames(),
		source:     newKeySource(c, opts),
		good:       opts.Metrics.NewCounter(`sidecar_jwks_refresh_total{result="good"}`),
		bad:        opts.Metrics.NewCounter(`sidecar_jwks_refresh_total{result="failed"}`),
		unknownKID: opts.Metrics.NewCounter("sidecar_jwks_unknown_kid_total"),
	}
	k.life, k.end = context.WithCancel(context.Background())
	opts.Metrics.NewGauge("sidecar_jwks_age_seconds", func() float64 { return k.age().Seconds() })
	opts.Metrics.NewGauge("sidecar_jwks_epoch", func() float64 {
		if v := k.view.Load(); v != nil {
			return float64(v.epoch)
		}
		return 0
	})
	set, at, err := k.source.load()
	switch {
	case err == nil:
		k.view.Store(&keyView{set: set, epoch: 1, at: at})
	case !errors.Is(err, errNoKeys):
		return nil, err
	}
	return k, nil
}

// Key implements token.Keys. Without a set that may be trusted the error is an
// *apierr.Error: UNAVAILABLE, keys_stale.
func (k *Keys) Key(kid string) (*token.Key, error) {
	v := k.view.Load()
	if k.stale(v) {
		return nil, apierr.New(apierr.Unavailable, "the issuer's keys are not known").WithReason("keys_stale").WithRetryAfter(time.Second)
	}
	return v.set.Key(kid)
}

// Epoch rises whenever the set of keys changes. While the set is stale it is
// a number that no verification ever saw, so that nothing remembered under
// the keys counts either.
func (k *Keys) Epoch() uint64 {
	v := k.view.Load()
	if k.stale(v) {
		return math.MaxUint64
	}
	return v.epoch
}

func (k *Keys) stale(v *keyView) bool {
	return v == nil || age(k.opts.Now(), v.at) > k.opts.KeysMaxStale
}

// age since the issuer confirmed the set; negative: it never did.
func (k *Keys) age() time.Duration {
	v := k.view.Load()
	if v == nil {
		return -1
	}
	return max(age(k.opts.Now(), v.at), 0)
}

func (k *Keys) report(st *Status) {
	v := k.view.Load()
	st.KeysAge, st.KeysStale, st.KeysFailed = k.age(), k.stale(v), k.trouble.text()
	if v != nil {
		st.Keys, st.KeysEpoch = len(v.set.KIDs()), v.epoch
	}
}

// refetchWait bounds how long a caller with an unknown kid waits for a fetch.
const refetchWait = 3 * time.Second

// Refetch asks for the key set again because of an unknown kid, and reports
// whether the kid is known now. However many kids are asked for, the issuer
// sees at most one request per KeysCooldown; a kid that a fetch did not bring
// asks for no other fetch for a while.
func (k *Keys) Refetch(ctx context.Context, kid string) bool {
	if k.knows(kid) {
		return true
	}
	k.unknownKID.Inc()
	k.mu.Lock()
	now := k.opts.Now()
	if k.unknown.has(kid, now) {
		k.mu.Unlock()
		return false
	}
	f := k.flight
	if f == nil {
		if age(now, k.tried) < k.opts.KeysCooldown {
			k.mu.Unlock()
			return false
		}
		f = k.begin(now)
	}
	k.mu.Unlock()

	timer := time.NewTimer(refetchWait)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-ctx.Done():
		return false
	case <-timer.C:
		return false
	}
	if k.knows(kid) {
		return true
	}
	if f.good {
		k.mu.Lock()
		k.unknown.add(kid, k.opts.Now().Add(k.opts.KeysTTL))
		k.mu.Unlock()
	}
	return false
}

func (k *Keys) knows(kid string) bool {
	v := k.view.Load()
	if v == nil {
		return false
	}
	_, err := v.set.Key(kid)
	return err == nil
}

// begin starts a fetch of its own, which ends with close but not with its
// callers. mu is held.
func (k *Keys) begin(now time.Time) *flight {
	f := &flight{done: make(chan struct{})}
	k.flight, k.tried = f, now
	k.fetches.Go(func() {
		defer close(f.done)
		ctx, cancel := context.WithTimeout(k.life, answerTime)
		defer cancel()
		f.good = k.fetch(ctx)
		k.mu.Lock()
		k.flight = nil
		k.mu.Unlock()
	})
	return f
}

// close ends a fetch under way; what is known stays.
func (k *Keys) close() {
	k.end()
	k.fetches.Wait()
}

// join answers the fetch under way, or begins one.
func (k *Keys) join() *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != nil {
		return k.flight
	}
	return k.begin(k.opts.Now())
}

// fetch asks the issuer once and puts a good answer in place.
func (k *Keys) fetch(ctx context.Context) (good bool) {
	set, err := k.source.fetch(ctx)
	unchanged := errors.Is(err, errUnchanged)
	if err != nil && !unchanged {
		k.bad.Inc()
		k.trouble.set(err)
		k.log.Warn("the issuer's key set cannot be fetched; the last good one stays", "error", err)
		return false
	}
	k.good.Inc()
	k.trouble.clear()
	next := &keyView{set: set, epoch: 1, at: k.opts.Now()}
	if old := k.view.Load(); old != nil { // only the one flight stores
		next.epoch = old.epoch
		if unchanged || sameKeys(old.set, set) {
			next.set = old.set
		} else {
			next.epoch++
			k.log.Info("the issuer's key set changed", "keys", set.KIDs())
		}
	}
	k.view.Store(next)
	return true
}

func sameKeys(a, b *token.KeySet) bool {
	kids := a.KIDs()
	if !slices.Equal(kids, b.KIDs()) {
		return false
	}
	for _, kid := range kids {
		x, errX := a.Key(kid)
		y, errY := b.Key(kid)
		if errors.Join(errX, errY) != nil || !x.Public().Equal(y.Public()) {
			return false
		}
	}
	return true
}

// run refreshes the set until ctx ends.
func (k *Keys) run(ctx context.Context) {
	p := pace{least: min(time.Second, k.opts.KeysTTL), most: min(15*time.Second, k.opts.KeysTTL)}
	for {
		f := k.join()
		select {
		case <-f.done:
		case <-ctx.Done():
			return
		}
		wait := jitter(k.opts.KeysTTL)
		if f.good {
			p.good()
		} else {
			wait = p.bad(nil)
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// unknownNames is a bounded memory of kids that a fetch did not bring.
type unknownNames struct {
	until map[string]time.Time
	order []string // oldest first
}

const maxUnknown = 128

func newUnknownNames() *unknownNames { return &unknownNames{until: map[string]time.Time{}} }

func (u *unknownNames) has(kid string, now time.Time) bool {
	until, found := u.until[kid]
	return found && now.Before(until)
}

func (u *unknownNames) add(kid string, until time.Time) {
	if _, found := u.until[kid]; !found {
		if len(u.order) == maxUnknown {
			delete(u.until, u.order[0])
			u.order = append(u.order[:0], u.order[1:]...)
		}
		u.order = append(u.order, kid)
	}
	u.until[kid] = until
}
