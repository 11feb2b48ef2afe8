// Package authn decides who sent a request: it verifies access tokens and
// remembers good ones, never longer than they, the key set and a minute last.
package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/cache"
)

// NoEpoch is the epoch of a key set that is not to be trusted now: nothing is
// remembered under it, and nothing remembered counts.
const NoEpoch = math.MaxUint64

// Keys is the key set that verifies tokens.
type Keys interface {
	token.Keys
	// Epoch rises whenever the key set changes; NoEpoch while it can't be trusted.
	Epoch() uint64
	// Refetch asks for the key set again because of an unknown kid, as often as
	// its own limits allow, and reports whether the kid is known now.
	Refetch(ctx context.Context, kid string) bool
}

// Options of an Authenticator. Issuer, Audience and Keys are required.
type Options struct {
	Issuer       string
	Audience     string
	Keys         Keys
	MaxLifetime  time.Duration // default token.DefaultMaxLifetime
	Leeway       time.Duration
	AllowForeign bool          // see token.Verifier
	Entries      int64         // verified tokens remembered, default 10,000; negative: none
	MaxTTL       time.Duration // how long at most, default 1 min
	Verifying    int           // signatures checked at once, default the cores
	Wait         time.Duration // for a turn, default 1 s
	Now          func() time.Time
	Metrics      *metrics.Set
}

// Identity is what a verified token says.
type Identity struct {
	Claims token.Claims
	Scope  []string          // the members of the scope; shared: read only
	Digest [sha256.Size]byte // SHA-256 of the token's text
}

// Authenticator verifies tokens. It is safe for concurrent use; Close it at the end.
type Authenticator struct {
	options  Options
	verifier *token.Verifier
	cache    *cache.Cache[*entry] // nil: off
	marks    marker
	fold     func(mark) uint64
	turns    chan struct{}
	scopes   scopes

	hits, misses, dropped *metrics.Counter
}

// entry is immutable. It holds the whole mark, because the cache finds it by
// 64 bits of it, and the epoch of the keys it was verified under.
type entry struct {
	identity Identity
	mark     mark
	epoch    uint64
	until    int64 // Unix nanoseconds
}

// New makes an Authenticator.
func New(o Options) (*Authenticator, error) {
	o = o.withDefaults()
	if o.Issuer == "" || o.Audience == "" || o.Keys == nil {
		return nil, errors.New("authn: Issuer, Audience and Keys are required")
	}
	a := &Authenticator{
		options: o,
		verifier: &token.Verifier{
			Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, MaxLifetime: o.MaxLifetime, Leeway: o.Leeway, Now: o.Now, AllowForeign: o.AllowForeign,
		},
		fold:    func(m mark) uint64 { return binary.LittleEndian.Uint64(m[:8]) },
		turns:   make(chan struct{}, o.Verifying),
		hits:    o.Metrics.NewCounter("sidecar_token_cache_hits_total"),
		misses:  o.Metrics.NewCounter("sidecar_token_cache_misses_total"),
		dropped: o.Metrics.NewCounter("sidecar_token_cache_dropped_total"),
	}
	if o.Entries < 0 {
		return a, nil
	}
	var err error
	if a.marks, err = newMarker(); err != nil {
		return nil, err
	}
	a.cache, err = cache.New[*entry](o.Entries, o.Entries, a.dropped.Inc)
	if err != nil {
		return nil, fmt.Errorf("remembered tokens: %w", err)
	}
	return a, nil
}

func (o Options) withDefaults() Options {
	if o.Entries == 0 {
		o.Entries = 10_000
	}
	if o.MaxTTL <= 0 {
		o.MaxTTL = time.Minute
	}
	if o.Verifying <= 0 {
		o.Verifying = runtime.GOMAXPROCS(0)
	}
	if o.Wait <= 0 {
		o.Wait = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	return o
}

// Close ends the cache.
func (a *Authenticator) Close() {
	if a.cache != nil {
		a.cache.Close()
	}
}

// Recall returns what a token says that was verified before. It waits for nothing.
// raw may be borrowed: nothing of it is kept. Revocation is not its matter: it is
// checked on every request, remembered or not.
func (a *Authenticator) Recall(raw string) (Identity, bool) {
	epoch := a.options.Keys.Epoch()
	if a.cache == nil || epoch == NoEpoch || len(raw) > token.MaxLength {
		return Identity{}, false
	}
	m := a.marks.of(raw)
	found := a.lookup(&m, epoch)
	if found == nil {
		return Identity{}, false
	}
	a.hits.Inc()
	return found.identity, true
}

// Verify returns what a good token says and remembers it, a *token.Error for a
// refused one, and an *apierr.Error when it cannot decide now. It waits for a turn.
// raw may be borrowed: nothing of it is kept.
func (a *Authenticator) Verify(ctx context.Context, raw string) (Identity, error) {
	if len(raw) > token.MaxLength {
		// Not even hashed: the verifier names the reason.
		_, err := a.verifier.Verify(ctx, raw)
		return Identity{}, err
	}
	// The epoch is read before the keys: an entry can only be thought older than it is.
	epoch := a.options.Keys.Epoch()
	a.misses.Inc()
	claims, err := a.verify(ctx, raw)
	if err != nil {
		return Identity{}, err
	}
	identity := Identity{Claims: claims, Scope: a.scopes.members(claims.Scope), Digest: sha256.Sum256(bytesOf(raw))}
	if a.cache != nil && epoch != NoEpoch {
		a.remember(&entry{identity: identity, mark: a.marks.of(raw), epoch: epoch})
	}
	return identity, nil
}

func (a *Authenticator) lookup(m *mark, epoch uint64) *entry {
	found, ok := a.cache.Get(a.fold(*m))
	if !ok || subtle.ConstantTimeCompare(found.mark[:], m[:]) != 1 || found.epoch != epoch || a.options.Now().UnixNano() >= found.until {
		return nil
	}
	return found
}

func (a *Authenticator) remember(made *entry) {
	now := a.options.Now()
	life := min(a.options.MaxTTL, time.Unix(made.identity.Claims.ExpiresAt, 0).Sub(now))
	if life <= 0 {
		return // within the leeway only: verified each time
	}
	made.until = now.Add(life).UnixNano()
	if !a.cache.Set(a.fold(made.mark), made, 1) {
		a.dropped.Inc()
	}
}

// verify checks the token, and once more after a refetch when its key is unknown.
func (a *Authenticator) verify(ctx context.Context, raw string) (token.Claims, error) {
	claims, err := a.verifyInTurn(ctx, raw)
	var refused *token.Error
	if !errors.As(err, &refused) || refused.Reason != token.UnknownKey {
		return claims, err
	}
	kid, headerErr := token.KeyID(raw)
	if headerErr != nil || !a.options.Keys.Refetch(ctx, kid) {
		return token.Claims{}, err
	}
	return a.verifyInTurn(ctx, raw)
}

// A refused token costs more beside its verification, to read, record and answer
// it: its turn rests for so many times as long as it took, at least so long and at
// most so long, for a program may be stopped meanwhile. Then no flood of them takes
// more than about half of the cores from those whose tokens are remembered.
const (
	restTimes = 3
	restLeast = 50 * time.Microsecond
	restMost  = 2 * time.Millisecond
)

func (a *Authenticator) verifyInTurn(ctx context.Context, raw string) (claims token.Claims, err error) {
	if err := a.enter(ctx); err != nil {
		return token.Claims{}, err
	}
	began, done := time.Now(), false
	defer func() {
		if done && err == nil {
			<-a.turns
			return
		}
		time.AfterFunc(min(restMost, max(restLeast, restTimes*time.Since(began))), func() { <-a.turns })
	}()
	claims, err = a.verifier.Verify(ctx, raw)
	done = true
	return claims, err
}

// enter waits for a turn: more signatures at once than cores only slow each other.
func (a *Authenticator) enter(ctx context.Context) error {
	select {
	case a.turns <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(a.options.Wait)
	defer timer.Stop()
	select {
	case a.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	return apierr.New(apierr.Overloaded, "too many tokens are being verified").WithReason("overloaded").WithRetryAfter(time.Second)
}
