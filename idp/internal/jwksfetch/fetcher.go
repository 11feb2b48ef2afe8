package jwksfetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
)

const (
	// cooldown is the least time between two fetches of one address, whatever
	// became of the first: unknown kids and failures cost one fetch in it.
	cooldown = 30 * time.Second
	// maxStale is how long keys count after they were last fetched, when they
	// cannot be fetched again. A key that must go at once is cut off at the IdP.
	maxStale   = 24 * time.Hour
	maxEntries = 4096 // addresses remembered
)

// ErrUnavailable says that the keys at an address cannot be known now.
var ErrUnavailable = errors.New("keys are unavailable")

// Options of a Fetcher; the zero value works.
type Options struct {
	Allow     []netip.Prefix // private and special addresses that may be fetched from all the same
	AllowHTTP bool           // http to the loopback interface, where Allow has it
	Roots     *x509.CertPool // default: the system's
	Resolver  *net.Resolver  // default: the system's
	Now       idp.Clock      // default time.Now
	Metrics   *metrics.Set   // default: a set nobody reads
}

// Fetcher is a clientauth.KeySource. It is safe for concurrent use; Close it at the end.
//
// The cache is the process's own. It is not shared between replicas: whoever
// could write there would sign for every agent.
type Fetcher struct {
	options Options
	client  *http.Client
	meters  meters
	ctx     context.Context // of every fetch; ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry // by URI
	lines   lines
}

// entry is what is known of one address. Fetcher.mu guards it.
type entry struct {
	keys    *clientauth.KeySet // nil: never fetched
	fetched time.Time          // of keys
	expires time.Time          // of keys
	tried   time.Time          // when the last fetch began, whatever became of it
	used    time.Time
	err     error         // of the last fetch
	pending chan struct{} // closed when the fetch under way is done; nil: there is none
}

// New makes a Fetcher.
func New(o Options) *Fetcher {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	f := &Fetcher{options: o, entries: map[string]*entry{}}
	f.client, f.meters = newClient(&o), newMeters(o.Metrics)
	f.lines = lines{all: turnstile.New(atOnce, waiting), hosts: map[string]*host{}}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// Close ends what is under way.
func (f *Fetcher) Close() {
	f.stop()
	f.running.Wait()
	f.client.CloseIdleConnections()
}

// Keys implements clientauth.KeySource. Keys are fetched when they have
// expired or lack the one that is asked for, once for all who wait, at most once
// in a cooldown. When that fails the old ones do, if the one asked for is among
// them. Its error is ErrUnavailable.
func (f *Fetcher) Keys(ctx context.Context, uri string, holds func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
	keys, pending, err := f.look(uri, holds, true)
	if pending == nil {
		return keys, err
	}
	select {
	case <-pending:
		keys, _, err = f.look(uri, holds, false)
		return keys, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// look answers from what is known, or starts a fetch and says when it is done.
func (f *Fetcher) look(uri string, holds func(*clientauth.KeySet) bool, mayFetch bool) (*clientauth.KeySet, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.options.Now()
	e := f.entry(uri, now)
	good := e.keys != nil && holds(e.keys)
	if good && now.Before(e.expires) {
		return e.keys, nil, nil
	}
	if mayFetch {
		if e.pending == nil && (e.tried.IsZero() || now.Sub(e.tried) >= cooldown) {
			f.start(uri, e, now)
		}
		if e.pending != nil {
			return nil, e.pending, nil
		}
	}
	switch {
	case e.keys == nil || !now.Before(e.fetched.Add(maxStale)):
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, e.err)
	case !good && e.err != nil: // what could not be fetched may hold it
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, e.err)
	}
	return e.keys, nil, nil
}

// entry finds the entry of uri, or makes one in the place of the one that was
// longest not used and is idle.
func (f *Fetcher) entry(uri string, now time.Time) *entry {
	e := f.entries[uri]
	if e == nil {
		if len(f.entries) >= maxEntries {
			f.evict()
		}
		e = &entry{err: errNever}
		f.entries[uri] = e
	}
	e.used = now
	return e
}

var errNever = errors.New("never fetched")

func (f *Fetcher) evict() {
	var oldest string
	for uri, e := range f.entries {
		if e.pending == nil && (oldest == "" || e.used.Before(f.entries[oldest].used)) {
			oldest = uri
		}
	}
	delete(f.entries, oldest)
}

// start fetches in a goroutine of its own: the caller may leave, others wait too.
func (f *Fetcher) start(uri string, e *entry, now time.Time) {
	pending := make(chan struct{})
	e.pending, e.tried = pending, now
	f.running.Go(func() {
		got, err := f.get(f.ctx, uri)
		f.mu.Lock()
		defer f.mu.Unlock()
		if err == nil {
			at := f.options.Now()
			e.keys, e.fetched, e.expires = got.keys, at, at.Add(got.ttl)
		}
		if errors.Is(err, errBusy) {
			e.tried = time.Time{} // nobody was asked: that other hosts are slow is not this one's fault
		}
		e.err, e.pending = err, nil
		close(pending)
	})
}
