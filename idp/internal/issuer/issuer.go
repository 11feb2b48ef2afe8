// Package issuer owns the signing keys: how they rest, which one signs, what
// the JWKS says, and the minting of access tokens (RFC 9068).
package issuer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer/batchsign"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/token"
)

// waitingPerCore bounds the line before the signers: at about 2 ms a signature
// its end is half a second away, past which a caller is better told to come back.
const waitingPerCore = 256

// Issuer signs with the active key and publishes every key that verifies.
// It is safe for concurrent use.
type Issuer struct {
	db        store.DB
	sealer    *Sealer
	now       idp.Clock
	backend   atomic.Pointer[backend] // never nil
	degraded  atomic.Pointer[error]   // why it is not the one it began with
	cores     int
	turnstile atomic.Pointer[turnstile.Turnstile] // never nil; as wide as the backend asks for
	schedule  Schedule
	durations *metrics.PrometheusHistogram // of signatures; nil until Instrument

	reloading sync.Mutex // one Reload at a time
	ring      atomic.Pointer[ring]
}

// Open loads the keys of the store. A key that does not open, or does not sign,
// is an error; that there is none yet is not: see EnsureKey.
func Open(ctx context.Context, db store.DB, sealer *Sealer, signer Signer, now idp.Clock) (*Issuer, error) {
	return open(ctx, db, sealer, now, signer.backend())
}

func open(ctx context.Context, db store.DB, sealer *Sealer, now idp.Clock, b backend) (*Issuer, error) {
	if now == nil {
		now = time.Now
	}
	cores := runtime.GOMAXPROCS(0)
	i := &Issuer{db: db, sealer: sealer, now: now, cores: cores}
	i.use(b)
	if err := i.Reload(ctx); err != nil {
		return nil, err
	}
	return i, nil
}

// use lets a backend sign from now on, with as many callers at once as it keeps busy.
func (i *Issuer) use(b backend) {
	i.backend.Store(&b)
	i.turnstile.Store(turnstile.New(b.perCore*i.cores, i.cores*waitingPerCore))
}

// Instrument adds the signing metrics to a set. Call it before the first Mint.
func (i *Issuer) Instrument(set *metrics.Set) {
	i.durations = obs.Durations(set, "agentidp_sign_seconds")
	set.NewGauge("agentidp_sign_faults", func() float64 { return float64(batchsign.Faults()) })
	set.NewGauge("agentidp_sign_queue_length", func() float64 { return float64(i.turnstile.Load().Waiting()) })
	for _, name := range []string{goBackend.name, libcryptoBackend.name, batchBackend.name} {
		set.NewGauge(obs.Name("agentidp_sign_backend_info", "backend", name), func() float64 {
			if i.Backend() == name {
				return 1
			}
			return 0
		})
	}
}

// Reload reads the keys again: after a change made elsewhere, and now and then
// so that retired keys leave the JWKS. On error everything stays as it was.
func (i *Issuer) Reload(ctx context.Context) error {
	i.reloading.Lock()
	defer i.reloading.Unlock()
	var rows []store.Key
	err := i.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = usable(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	next, err := i.build(rows, i.ring.Load())
	if err != nil {
		return err
	}
	i.ring.Store(next)
	return nil
}

// usable lists the keys that are not revoked. The feed has the last word: what
// it names no verifier accepts, whatever the row says.
func usable(ctx context.Context, tx *store.Tx) (rows []store.Key, err error) {
	all, err := tx.Keys.List(ctx, store.UseToken)
	if err != nil {
		return nil, err
	}
	for _, row := range all {
		listed, err := tx.Revocations.RevokedToken(ctx, "", row.ID)
		if err != nil {
			return nil, err
		}
		if !listed && row.Status != store.KeyRevoked {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

var errNoKey = errors.New("there is no active signing key")

func (i *Issuer) active() (*key, error) {
	if k := i.ring.Load().active; k != nil {
		return k, nil
	}
	return nil, apierr.New(apierr.Unavailable, "tokens cannot be signed now").
		WithReason("signing_key_missing").WithRetryAfter(time.Second).WithCause(errNoKey)
}

// Ready says why nothing can be signed; nil when it can. A key that the
// revocation feed names signs nothing.
func (i *Issuer) Ready() error {
	_, err := i.active()
	return err
}

// JWKS is the key set document (RFC 7517 section 5) and its strong ETag. The
// caller must not change the body.
func (i *Issuer) JWKS() (body []byte, etag string) {
	r := i.ring.Load()
	return r.jwks, r.etag
}

// Keys finds the keys that verify our own tokens: what the JWKS says, now.
func (i *Issuer) Keys() token.Keys { return currentKeys{i} }

type currentKeys struct{ issuer *Issuer }

func (c currentKeys) Key(kid string) (*token.Key, error) {
	return c.issuer.ring.Load().set.Key(kid)
}

// ActiveKID is the kid that signs; empty when there is none.
func (i *Issuer) ActiveKID() string {
	if k := i.ring.Load().active; k != nil {
		return k.row.ID
	}
	return ""
}

// Degraded says why signatures come from crypto/rsa although another backend was
// meant to make them; nil when they do not.
func (i *Issuer) Degraded() error {
	if why := i.degraded.Load(); why != nil {
		return *why
	}
	return i.backend.Load().broken()
}

// GivenUp is closed once Degraded has something to say that no key brought up; nil
// of a backend that does not give up.
func (i *Issuer) GivenUp() <-chan struct{} { return i.backend.Load().told }

// Backend names what computes the signatures.
func (i *Issuer) Backend() string {
	if b := i.backend.Load(); b.broken() == nil {
		return b.name
	}
	return goBackend.name
}
