package jwksfetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

const (
	// cooldown is the least time between two fetches of one address, whatever
	// became of the first: unknown kids and failures cost one fetch in it.
	cooldown = 30 * time.Second
	// maxStale is how long keys count after they were last fetched, when they
	// cannot be fetched again. A key that must go at once is cut off at the IdP.
	maxStale = 24 * time.Hour
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

	timeout, patience time.Duration // default the constants; a machine that tests is slower
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

	lines *lines

	mu    sync.Mutex
	cache cache // guarded by mu
}

// New makes a Fetcher.
func New(o Options) *Fetcher {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.timeout == 0 {
		o.timeout, o.patience = timeout, patience
	}
	f := &Fetcher{options: o, client: newClient(&o), meters: newMeters(o.Metrics), lines: newLines(o.patience), cache: newCache()}
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
// them. A site that says that it has no keys has not failed: there are none from
// then on. The error is ErrUnavailable.
func (f *Fetcher) Keys(ctx context.Context, at clientauth.KeyAddress, holds func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
	keys, pending, err := f.look(at, holds, true)
	if pending == nil {
		return keys, err
	}
	select {
	case <-pending:
		keys, _, err = f.look(at, holds, false)
		return keys, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// look answers from what is known, or starts a fetch and says when it is done.
func (f *Fetcher) look(at clientauth.KeyAddress, holds func(*clientauth.KeySet) bool, mayFetch bool) (*clientauth.KeySet, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.options.Now()
	e := f.cache.find(at, now)
	good := e.keys != nil && holds(e.keys)
	if good && now.Before(e.expires) {
		return e.keys, nil, nil
	}
	if mayFetch {
		if e.pending == nil && (e.tried.IsZero() || now.Sub(e.tried) >= cooldown) {
			f.start(at, e, now)
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

var errNever = errors.New("never fetched")

// start fetches in a goroutine of its own: the caller may leave, others wait too.
func (f *Fetcher) start(at clientauth.KeyAddress, e *entry, now time.Time) {
	pending := make(chan struct{})
	e.pending, e.tried = pending, now
	f.running.Go(func() {
		got, err := f.get(f.ctx, at)
		f.mu.Lock()
		defer f.mu.Unlock()
		e.err, e.pending = nil, nil
		switch {
		case err == nil:
			f.keep(at, e, got)
		case errors.Is(err, errGone):
			f.keep(at, e, document{keys: &clientauth.KeySet{}, ttl: minTTL})
		case errors.Is(err, errBusy): // nobody was asked: that others are slow is not this site's fault
			e.err, e.tried = err, time.Time{}
		default:
			e.err = brief(err)
		}
		close(pending)
	})
}

// keep takes what the site publishes in the place of what it published before.
func (f *Fetcher) keep(at clientauth.KeyAddress, e *entry, got document) {
	now := f.options.Now()
	e.fetched, e.expires = now, now.Add(got.ttl)
	f.cache.put(at, e, got.keys)
}

// brief is what is remembered of an error: it may quote the site at length.
func brief(err error) error {
	const most = 256 // bytes
	if request := (*url.Error)(nil); errors.As(err, &request) {
		err = request.Err // without the address
	}
	text := err.Error()
	return errors.New(strings.ToValidUTF8(text[:min(len(text), most)], ""))
}
