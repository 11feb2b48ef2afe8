// Package authn answers whose token a request carries: verified once, then
// remembered for a short while.
//
// What is remembered never decides alone. The cache is looked up by the SHA-256
// of the whole token and the whole digest is compared; an entry counts only
// under the key set it was verified with, and only until the token's exp.
// Revocation is not cached here at all: the caller asks for it on every
// request, after Authenticate.
package authn

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/VictoriaMetrics/metrics"
	"github.com/dgraph-io/ristretto/v2"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

// Keys is the key set that tokens are verified with.
type Keys interface {
	token.Keys
	// Epoch is raised whenever the set of keys changes.
	Epoch() uint64
	// Stale is nil, or says why no key may be trusted now: none was ever
	// fetched, or the last fetch is too long ago.
	Stale() error
	// Refetch looks for the key that missing, an error of Key wrapping
	// token.ErrUnknownKey, did not find. It is cheap when it may not ask the
	// issuer now. It reports whether another try makes sense.
	Refetch(ctx context.Context, missing error) bool
}

// Bounds of Options.
const (
	DefaultCacheBytes = 16 << 20
	MaxTTL            = time.Minute
	DefaultMaxWaiting = 1024
	entryBytes        = 768 // of an entry besides the token's own text
)

// Options of New. The zero value is usable.
type Options struct {
	Keys       Keys             // nil: the Verifier's own Keys, which never change
	CacheBytes int64            // of memory for verified tokens, roughly; 0: DefaultCacheBytes; < 0: no cache
	Verifying  int              // verifications at a time; 0: GOMAXPROCS
	MaxWaiting int              // callers waiting for one; beyond it 503; 0: DefaultMaxWaiting
	Now        func() time.Time // nil: time.Now
	Metrics    *metrics.Set     // nil: not exposed
}

// Authenticator verifies tokens for one issuer and one audience. It is safe
// for concurrent use.
type Authenticator struct {
	verifier *token.Verifier
	keys     Keys
	now      func() time.Time
	cache    *ristretto.Cache[[]byte, *entry] // nil: off
	hash     func([]byte) (uint64, uint64)    // of a digest
	gate     gate

	hits, misses, dropped *metrics.Counter
}

// Result is a good token. Claims are shared with other requests: read only.
type Result struct {
	Claims *token.Claims
	Digest [sha256.Size]byte // SHA-256 of the token
	Cached bool
}

// entry is a verified token. It is immutable.
type entry struct {
	digest [sha256.Size]byte
	epoch  uint64 // of the key set
	claims token.Claims
}

// New makes an Authenticator; Close ends it.
func New(verifier *token.Verifier, opts Options) (*Authenticator, error) {
	if opts.Metrics == nil {
		opts.Metrics = metrics.NewSet()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Keys == nil {
		opts.Keys = fixed{verifier.Keys}
	}
	if opts.Verifying <= 0 {
		opts.Verifying = runtime.GOMAXPROCS(0)
	}
	if opts.MaxWaiting <= 0 {
		opts.MaxWaiting = DefaultMaxWaiting
	}
	a := &Authenticator{
		verifier: verifier, keys: opts.Keys, now: opts.Now, hash: halves,
		gate:    gate{places: make(chan struct{}, opts.Verifying), limit: int64(opts.MaxWaiting)},
		hits:    opts.Metrics.NewCounter("sidecar_token_cache_hits_total"),
		misses:  opts.Metrics.NewCounter("sidecar_token_cache_misses_total"),
		dropped: opts.Metrics.NewCounter("sidecar_token_cache_dropped_total"),
	}
	opts.Metrics.NewGauge("sidecar_token_verify_waiting", func() float64 { return float64(a.gate.waiting.Load()) })
	if opts.CacheBytes < 0 {
		return a, nil
	}
	if opts.CacheBytes == 0 {
		opts.CacheBytes = DefaultCacheBytes
	}
	var err error
	a.cache, err = ristretto.NewCache(&ristretto.Config[[]byte, *entry]{
		NumCounters: max(opts.CacheBytes/entryBytes*10, 1000), MaxCost: opts.CacheBytes, BufferItems: 64,
		IgnoreInternalCost: true, // the cost is our own estimate
		KeyToHash:          func(digest []byte) (uint64, uint64) { return a.hash(digest) },
	})
	if err != nil {
		return nil, fmt.Errorf("authn: cache: %w", err)
	}
	return a, nil
}

// Close releases the cache.
func (a *Authenticator) Close() {
	if a.cache != nil {
		a.cache.Close()
	}
}

// halves is the cache's key: the first 16 bytes of the digest.
func halves(digest []byte) (uint64, uint64) {
	return binary.LittleEndian.Uint64(digest), binary.LittleEndian.Uint64(digest[8:])
}

var digests = sync.Pool{New: func() any { return new([sha256.Size]byte) }}

// Authenticate verifies a token. The error is an *apierr.Error: UNAUTHENTICATED
// with the reason of token.Error, OVERLOADED (verify_overloaded), or UNAVAILABLE
// (keys_stale; verify_timeout when ctx ended first).
func (a *Authenticator) Authenticate(ctx context.Context, raw string) (Result, error) {
	if err := a.keys.Stale(); err != nil {
		return Result{}, unavailable("keys_stale", err)
	}
	if len(raw) > token.MaxLength { // before it costs a hash
		return Result{}, refused(string(token.Oversize), nil)
	}
	// The digest is passed to a function value, so it would escape: it is lent instead.
	digest := digests.Get().(*[sha256.Size]byte)
	defer digests.Put(digest)
	*digest = sha256.Sum256(unsafe.Slice(unsafe.StringData(raw), len(raw))) // only read
	if claims := a.remembered(digest); claims != nil {
		a.hits.Inc()
		return Result{Claims: claims, Digest: *digest, Cached: true}, nil
	}
	a.misses.Inc()
	e, err := a.verify(ctx, raw)
	if err != nil {
		return Result{}, err
	}
	e.digest = *digest
	a.remember(digest, e, len(raw))
	return Result{Claims: &e.claims, Digest: e.digest}, nil
}

// remembered answers the claims of a token verified before, or nil.
func (a *Authenticator) remembered(digest *[sha256.Size]byte) *token.Claims {
	if a.cache == nil {
		return nil
	}
	e, found := a.cache.Get(digest[:])
	if !found || e.digest != *digest || e.epoch != a.keys.Epoch() || e.claims.ExpiresAt <= a.now().Unix() {
		return nil
	}
	return &e.claims
}

func (a *Authenticator) remember(digest *[sha256.Size]byte, e *entry, length int) {
	if a.cache == nil {
		return
	}
	ttl := min(time.Unix(e.claims.ExpiresAt, 0).Sub(a.now()), MaxTTL)
	if ttl > 0 && !a.cache.SetWithTTL(digest[:], e, int64(length+entryBytes), ttl) {
		a.dropped.Inc()
	}
}

// verify does the work, behind the gate; an unknown key is looked for once.
func (a *Authenticator) verify(ctx context.Context, raw string) (*entry, error) {
	e, err := a.once(ctx, raw)
	if errors.Is(err, token.ErrUnknownKey) && a.keys.Refetch(ctx, err) {
		e, err = a.once(ctx, raw)
	}
	if err == nil {
		return e, nil
	}
	var own *apierr.Error
	var refusal *token.Error
	switch {
	case errors.As(err, &own):
		return nil, err
	case errors.As(err, &refusal):
		return nil, refused(string(refusal.Reason), err)
	case ctx.Err() != nil:
		return nil, unavailable("verify_timeout", err)
	}
	return nil, unavailable("keys_stale", err)
}

func (a *Authenticator) once(ctx context.Context, raw string) (*entry, error) {
	if err := a.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer a.gate.leave()
	e := &entry{epoch: a.keys.Epoch()} // before the key is looked up: at worst the entry is never used
	var err error
	if e.claims, err = a.verifier.Verify(ctx, raw); err != nil {
		return nil, err
	}
	return e, nil
}

func refused(reason string, cause error) error {
	return apierr.New(apierr.Unauthenticated, "the token is not valid here").WithReason(reason).WithCause(cause)
}

func unavailable(reason string, cause error) error {
	return apierr.New(apierr.Unavailable, "tokens cannot be verified now").WithReason(reason).WithCause(cause).WithRetryAfter(time.Second)
}

// fixed is a key set that never changes.
type fixed struct{ token.Keys }

func (fixed) Epoch() uint64                       { return 0 }
func (fixed) Stale() error                        { return nil }
func (fixed) Refetch(context.Context, error) bool { return false }
