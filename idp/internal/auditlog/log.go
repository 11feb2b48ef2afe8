// Package auditlog is the append-only record of everything that changes state
// or is refused, and the only way to change state: a change and its events
// commit in one transaction, together with their leaves in an RFC 6962 tree.
// One writer per process gathers what waits into a group commit.
package auditlog

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Change makes a state change inside the log's transaction and returns the
// events that go with it. It may run more than once, and its error undoes only
// what it wrote. It must have no effect outside tx.
type Change func(ctx context.Context, tx *store.Tx) ([]idp.Event, error)

// Options tune a Log; the zero value works.
type Options struct {
	Now             idp.Clock     // default time.Now
	Logger          *slog.Logger  // default slog.Default
	Metrics         *metrics.Set  // default: a set nobody reads
	CheckpointEvery time.Duration // default 10 s
	// Patience is how long a caller waits: a store that hangs is answered as one
	// that is down. A write still queued then is dropped, not done late. Default 3 s.
	Patience time.Duration
	// CheckpointFile, when set, receives a copy of every signed checkpoint, so
	// that a copy outside the database exists from the first day.
	CheckpointFile string
}

const (
	queueLength   = 4096
	company       = 16                     // admissions that need not wait for more: they go before they are due, so that nobody signed waits for a slow commit
	maxWrites     = 512                    // writes of one group commit
	maxEvents     = 8192                   // and roughly its events
	turnLimit     = 300 * time.Millisecond // for the changes of one; the rest is for the next
	commitTimeout = 30 * time.Second       // of one group commit; callers leave earlier
	retryAfter    = time.Second
)

// Log is safe for concurrent use. Run must be running for its writes to return.
type Log struct {
	db      store.DB
	key     *CheckpointKey
	opts    Options
	queue   chan *write
	wake    chan struct{} // holds one: something in the queue is due
	stopped chan struct{} // closed when Run has returned
	first   []*write      // before the queue: what the last turn had no time for; owned by Run
	waiting atomic.Int64  // len(first), for others
	folds   folds
	metrics logMetrics
	signed  tlog.Tree // the largest tree known to be signed; owned by Run
}

// New makes a log over db that signs checkpoints with key.
func New(db store.DB, key *CheckpointKey, opts Options) *Log {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Metrics == nil {
		opts.Metrics = metrics.NewSet()
	}
	if opts.Patience <= 0 {
		opts.Patience = 3 * time.Second
	}
	if opts.CheckpointEvery <= 0 {
		opts.CheckpointEvery = 10 * time.Second
	}
	l := &Log{db: db, key: key, opts: opts, queue: make(chan *write, queueLength), wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	l.folds.windows = map[foldKey]*fold{}
	l.metrics = newLogMetrics(opts.Metrics, func() float64 { return float64(int64(len(l.queue)) + l.waiting.Load()) })
	return l
}

// Commit makes the change and its events durable together. A refusal of the
// change comes back as it is; when nothing could be written the error is an
// AUDIT_UNAVAILABLE and nothing happened. When ctx ends while the commit is
// under way the result is unknown to the caller.
func (l *Log) Commit(ctx context.Context, change Change) error {
	_, err := l.submit(ctx, &write{weight: 1, change: func(ctx context.Context, tx *store.Tx) ([]entry, error) {
		events, err := change(ctx, tx)
		if err != nil {
			return nil, err
		}
		return l.prepare(events)
	}})
	return err
}

// Append makes the events durable.
func (l *Log) Append(ctx context.Context, events ...idp.Event) error {
	_, err := l.submit(ctx, &write{weight: len(events)}, events...)
	return err
}

// Meanwhile is work that a caller does before it needs the verdict. It calls due
// when what is left takes about as long as a commit; false says that the verdict
// is known, and a refusal.
type Meanwhile func(due func() bool)

// Admit asks whether a token may be issued, counts it, and makes its event
// durable, all in one transaction. The event is written only if admitted. In the
// meantime, until due is called, nobody needs the answer: the write goes with the
// next group, and makes none of its own for a second. Who has to wait for a
// signature, which takes longer than a commit, so shares a commit with all who
// wait there. meanwhile runs in the caller's goroutine; nil: there is nothing to do.
func (l *Log) Admit(ctx context.Context, a store.Admission, e idp.Event, meanwhile Meanwhile) (store.AdmissionResult, error) {
	return l.submit(ctx, &write{admission: &a, weight: 1, meanwhile: meanwhile}, e)
}

func unavailable(cause error) *apierr.Error {
	return apierr.New(apierr.AuditUnavailable, "the audit log cannot be written; nothing was done").
		WithReason("audit_unavailable").WithRetryAfter(retryAfter).WithCause(cause)
}

// unknown is for a caller whose time ran out while its write was under way.
func unknown(cause error) *apierr.Error {
	return apierr.New(apierr.AuditUnavailable, "it took too long, and may have been done: read before you repeat it").
		WithReason("outcome_unknown").WithRetryAfter(retryAfter).WithCause(cause)
}

// Run writes until ctx ends, then writes what is queued, the open folds and a
// last checkpoint. It fails when the stored tree contradicts something that was
// signed: to append to such a log, or to sign it, would bury the evidence.
func (l *Log) Run(ctx context.Context) error {
	defer close(l.stopped)
	if err := l.trust(ctx); err != nil {
		return err
	}
	if err := l.checkpoint(ctx, false); err != nil {
		return err
	}
	checkpoints := time.NewTicker(l.opts.CheckpointEvery)
	defer checkpoints.Stop()
	sweeps := time.NewTicker(time.Second)
	defer sweeps.Stop()
	always := make(chan struct{})
	close(always)
	for {
		var more <-chan struct{}
		if len(l.first) > 0 {
			more = always
		}
		select {
		case <-l.wake:
			l.turn(ctx)
		case <-more:
			l.turn(ctx)
		case <-sweeps.C:
			l.turn(ctx)
			l.commitSummaries(ctx, l.folds.due(l.opts.Now()))
		case <-checkpoints.C:
			if err := l.checkpoint(ctx, false); err != nil {
				return err
			}
		case <-ctx.Done():
			return l.drain()
		}
	}
}

func (l *Log) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	for l.turn(ctx) {
	}
	l.commitSummaries(ctx, l.folds.all())
	return l.checkpoint(ctx, true)
}

// turn commits what is waiting, and reports whether anything was.
func (l *Log) turn(ctx context.Context) bool {
	group := l.gather()
	if len(group) == 0 {
		return false
	}
	l.first = l.commit(ctx, group)
	l.waiting.Store(int64(len(l.first)))
	return true
}

// gather takes what is waiting, without waiting for more: under load the
// commit before gave the next group time to form.
func (l *Log) gather() []*write {
	group, events := l.first, 0
	for _, w := range group {
		events += w.weight
	}
	for len(group) < maxWrites && events < maxEvents {
		select {
		case w := <-l.queue:
			w.taken.Store(true)
			group = append(group, w)
			events += w.weight
		default:
			return group
		}
	}
	l.hurry() // for what is left
	return group
}

// commitSummaries writes events nobody waits for. Those that cannot be written
// are counted and logged: they were already answered.
func (l *Log) commitSummaries(ctx context.Context, events []idp.Event) {
	if len(events) == 0 {
		return
	}
	entries, err := l.prepare(events)
	if err != nil {
		l.opts.Logger.Error("audit summary", "error", err)
		return
	}
	w := &write{ctx: ctx, entries: entries, done: make(chan outcome, 1)}
	l.commit(ctx, []*write{w})
	if result := <-w.done; result.err != nil {
		l.metrics.failures.Inc()
		l.opts.Logger.Error("audit summary lost", "events", len(events), "error", result.err)
	}
}
