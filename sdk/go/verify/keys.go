package verify

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/token"
)

// The sidecar's times.
const (
	refreshEvery = 5 * time.Minute  // of the key set, behind requests
	coolDown     = 10 * time.Second // between fetches, whatever asks for them
	maxStale     = 24 * time.Hour   // how long a set is trusted that the issuer does not confirm
	longestWait  = 3 * time.Second  // of a request with an unknown key, for a fetch
	maxUnknown   = 128              // kids remembered that a fetch did not bring
)

// errNoKeys says that there is no set, or none that may be trusted any more.
var errNoKeys = errors.New("the issuer's keys are not known")

// keys is the issuer's key set, fetched as it is used. A fetch that fails, or
// brings nothing usable, changes nothing.
type keys struct {
	client  *http.Client
	address string
	now     func() time.Time

	fetches sync.WaitGroup

	mu      sync.Mutex // guards all below
	set     *token.KeySet
	etag    string    // of set; empty: the issuer gave none
	at      time.Time // when the issuer confirmed set
	jitter  time.Duration
	tried   time.Time // when the last fetch began; zero: never
	flight  *fetch
	unknown map[string]time.Time // kid: when a good fetch did not bring it
	failed  error                // of the last fetch
}

// fetch is one under way.
type fetch struct {
	done chan struct{} // closed when it has ended
	good bool          // the issuer answered; keys.mu guards it
}

// Key implements token.Keys. It is asked once a token is well formed; a set that
// is due is then fetched behind the request.
func (k *keys) Key(kid string) (*token.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stale() {
		return nil, errors.Join(errNoKeys, k.failed)
	}
	if age(k.now(), k.at) > k.jitter {
		k.begin()
	}
	return k.set.Key(kid)
}

func (k *keys) stale() bool { return k.set == nil || age(k.now(), k.at) > maxStale }

// age counts by the clock on the wall or the one that never steps, whichever
// says more: a machine that slept, or a clock set back, makes nothing look fresh.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// await waits for a fetch because of a kid that is not in the set, or because there
// is no set to trust, if one is of use. Then it is worth looking again.
func (k *keys) await(ctx context.Context, kid string) {
	under := k.seek(kid)
	if under == nil {
		return
	}
	timer := time.NewTimer(longestWait)
	defer timer.Stop()
	select {
	case <-under.done:
		k.remember(kid, under)
	case <-timer.C:
	case <-ctx.Done():
	}
}

// seek begins a fetch for the kid, or joins the one under way; nil: the key is
// there, or none will bring it. It looks and joins under one lock: the fetch that
// brings the key cannot end between the two.
func (k *keys) seek(kid string) *fetch {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stale() {
		if _, err := k.set.Key(kid); err == nil {
			return nil
		}
		if since, known := k.unknown[kid]; known && age(k.now(), since) < refreshEvery {
			return nil
		}
	}
	return k.begin()
}

// remember keeps a kid that a good fetch did not bring.
func (k *keys) remember(kid string, under *fetch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !under.good {
		return
	}
	if _, err := k.set.Key(kid); err == nil {
		return
	}
	if k.unknown == nil {
		k.unknown = map[string]time.Time{}
	}
	if len(k.unknown) == maxUnknown {
		for oldest := range k.unknown { // any will do: it only costs a fetch in a cool-down
			delete(k.unknown, oldest)
			break
		}
	}
	k.unknown[kid] = k.now()
}

// begin answers the fetch under way, or begins one; nil during the cool-down. mu is held.
func (k *keys) begin() *fetch {
	if k.flight != nil {
		return k.flight
	}
	now := k.now()
	if !k.tried.IsZero() && age(now, k.tried) < coolDown {
		return nil
	}
	f := &fetch{done: make(chan struct{})}
	k.flight, k.tried = f, now
	k.fetches.Go(func() { k.run(f) })
	return f
}

// run is a fetch of its own: it ends by its time limit, not with who asked. An
// issuer that has the same set as before confirms it by a 304.
func (k *keys) run(f *fetch) {
	defer close(f.done)
	k.mu.Lock()
	set, etag := k.set, k.etag
	k.mu.Unlock()
	document, err := get(context.Background(), k.client, wanted{
		address: k.address, accept: "application/jwk-set+json, application/json", etag: etag, limit: token.MaxJWKS,
	})
	if err == nil && !document.same {
		set, _, err = token.ParseJWKS(document.body)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flight, k.failed = nil, err
	if err == nil {
		f.good = true
		k.set, k.at, k.jitter = set, k.now(), spread(refreshEvery)
	}
	if err == nil && !document.same {
		k.etag = document.etag
	}
}

// spread varies d by a tenth either way, so that a fleet does not move in step.
func spread(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5) //nolint:gosec // nothing to guess
}
