package statuslist

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

const (
	// TTL is how long a relying party should keep a list before it asks again.
	TTL = 15 * time.Second
	// lifetime is when a list must not be believed any more: as long as a sidecar
	// trusts its revocations without the IdP.
	lifetime = 15 * time.Minute
	// renewAt is the age at which a list that did not change is signed again.
	renewAt = lifetime / 3

	syncEvery = time.Second      // without news, so that a lost signal costs no more
	lagLimit  = 10 * time.Second // behind the feed for longer is worth a word
	retryMin  = 100 * time.Millisecond
	retryMax  = 5 * time.Second
	syncLimit = 5 * time.Minute // for all that one sync reads: a key's tokens of an hour may be many
	lookEvery = 100 * time.Millisecond
)

// Signer signs documents; see issuer.
type Signer interface {
	Sign(ctx context.Context, typ string, payload []byte) (string, error)
	ActiveKID() string
}

// Options are the parts of Lists; DB, Signer and Issuer are required.
type Options struct {
	DB          store.DB
	Signer      Signer
	Issuer      string
	MaxTokenTTL time.Duration // longest life of a token that may be around; default 1 h
	Every       time.Duration // a list is not built more often; default 1 s
	Now         idp.Clock     // default time.Now
	Logger      *slog.Logger  // default slog.Default
	Metrics     *metrics.Set  // default: a set nobody reads
}

// Lists publishes which tokens are dead. Follow must be running for it to know.
// It is safe for concurrent use.
type Lists struct {
	Options
	base   string
	window time.Duration // tokens issued longer ago have expired
	dead   dead
	cursor int64              // of the revocation feed; Follow's own
	marked map[int64]struct{} // entries behind the cursor that are done: a sync that is cut off goes on there; Follow's own
	signed *metrics.Counter

	mu        sync.Mutex // guards what follows
	published map[int64]*published
	looked    time.Time // last look for lists that other replicas began
}

// New makes empty lists, which are not served before Follow has read the feed.
func New(o Options) *Lists {
	if o.MaxTokenTTL <= 0 {
		o.MaxTokenTTL = time.Hour
	}
	if o.Every <= 0 {
		o.Every = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	l := &Lists{Options: o, base: base(o.Issuer), window: o.MaxTokenTTL + skew, published: map[int64]*published{}, marked: map[int64]struct{}{}}
	l.dead.lists = map[int64]*deadList{}
	l.signed = o.Metrics.NewCounter("agentidp_statuslist_signed_total")
	o.Metrics.NewGauge("agentidp_statuslist_lag_seconds", func() float64 { return l.lag().Seconds() })
	return l
}

// lag is how far the lists are behind the feed.
func (l *Lists) lag() time.Duration {
	_, synced := l.dead.served()
	if synced.IsZero() {
		return 0 // the process has only begun
	}
	return max(0, l.Now().Sub(synced))
}

var errBehind = errors.New("the status lists are behind the revocation feed")

// Ready says whether the lists show what is revoked.
func (l *Lists) Ready(context.Context) error {
	if _, synced := l.dead.served(); synced.IsZero() || l.lag() > lagLimit {
		return errBehind
	}
	return nil
}

// Follow keeps the lists in step with the revocation feed until ctx ends.
func (l *Lists) Follow(ctx context.Context) {
	changed, stop := l.DB.Watch() // before the first read: nothing can fall between
	defer stop()
	pause := retryMin
	for {
		err := l.sync(ctx)
		if ctx.Err() != nil {
			return
		}
		news, wait := changed, syncEvery
		if err != nil {
			l.Logger.WarnContext(ctx, "status lists not in step with revocations", "error", err, "again", pause)
			news, wait = nil, pause
			pause = min(2*pause, retryMax)
		} else {
			pause = retryMin
		}
		timer := time.NewTimer(wait)
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

const pageSize = 1000

// sync marks the tokens of every entry that is new. After a start that is the
// whole feed, so that a restart forgets nothing.
func (l *Lists) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncLimit)
	defer cancel()
	began := idp.Time(l.Now())
	for {
		var entries []idp.Revocation
		var live []int64
		err := l.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
			last, _, err := tx.Revocations.Bounds(ctx)
			if err != nil {
				return err
			}
			if l.cursor > last {
				l.cursor = 0 // the store was restored from a backup
				clear(l.marked)
			}
			if entries, err = tx.Revocations.Since(ctx, l.cursor, pageSize); err != nil {
				return err
			}
			live, err = l.live(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
		if err := l.mark(ctx, began, entries); err != nil {
			return err
		}
		if len(entries) > 0 {
			l.cursor = entries[len(entries)-1].Seq
			clear(l.marked)
		}
		if len(entries) < pageSize {
			l.dead.reached(began, live)
			l.forget(live)
			return nil
		}
	}
}

// live lists the ids of lists that may hold a live token.
func (l *Lists) live(ctx context.Context, tx *store.Tx) ([]int64, error) {
	return tx.StatusLists.Live(ctx, l.since())
}

func (l *Lists) since() time.Time { return l.Now().Add(-l.window - blockLife) }

// Prune forgets, in the store, the lists that no live token can be in.
func (l *Lists) Prune(ctx context.Context) error {
	since := l.since()
	return store.PruneAll(ctx, l.DB, func(ctx context.Context, tx *store.Tx) (bool, error) {
		return tx.StatusLists.Prune(ctx, since)
	})
}

// serves reports a list that may hold a live token. One that this replica does
// not know may be another's new one: it looks, not more often than lookEvery.
func (l *Lists) serves(ctx context.Context, id int64) (bool, error) {
	if l.dead.serves(id) {
		return true, nil
	}
	if _, synced := l.dead.served(); synced.IsZero() {
		return false, behind(nil)
	}
	l.mu.Lock()
	look := time.Since(l.looked) >= lookEvery
	if look {
		l.looked = time.Now()
	}
	l.mu.Unlock()
	if !look {
		return false, nil
	}
	var live []int64
	err := l.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		live, err = l.live(ctx, tx)
		return err
	})
	if err != nil {
		return false, behind(err)
	}
	l.dead.learn(live)
	return slices.Contains(live, id), nil
}

// forget drops the documents of lists that are not served any more.
func (l *Lists) forget(live []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.published {
		if !slices.Contains(live, id) {
			delete(l.published, id)
		}
	}
}

func behind(cause error) error {
	return apierr.New(apierr.Unavailable, "it is not known now which tokens are revoked").
		WithReason("revocations_stale").WithRetryAfter(time.Second).WithCause(cause)
}

// All lists the addresses of the lists that may hold a live token (section 9.3).
func (l *Lists) All() ([]string, error) {
	live, synced := l.dead.served()
	if synced.IsZero() || l.Now().Sub(synced) >= lifetime {
		return nil, behind(nil)
	}
	all := make([]string, len(live))
	for i, id := range live {
		all[i] = uri(l.base, id)
	}
	return all, nil
}
