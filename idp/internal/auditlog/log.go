// Package auditlog is the append-only record of everything that changes state
// or is refused, and the only way to change state: a change and its events
// commit in one transaction, together with their leaves in an RFC 6962 tree.
// One writer per process gathers what waits into a group commit.
package auditlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"
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
	l := &Log{db: db, key: key, opts: opts, queue: make(chan *write, queueLength), stopped: make(chan struct{})}
	l.folds.windows = map[foldKey]*fold{}
	l.metrics = newLogMetrics(opts.Metrics, func() float64 { return float64(int64(len(l.queue)) + l.waiting.Load()) })
	return l
}

// write is one caller's wish, waiting for the group commit that carries it.
type write struct {
	ctx       context.Context
	change    Change           // one of change and admission may be set
	admission *store.Admission // event is written only if admitted
	events    []idp.Event      // of an admission or a plain append
	weight    int              // how many events it will bring, roughly; bounds a group
	done      chan outcome     // buffered: the writer never waits for a caller
}

type outcome struct {
	verdict store.AdmissionResult
	err     error
}

// Commit makes the change and its events durable together. A refusal of the
// change comes back as it is; when nothing could be written the error is an
// AUDIT_UNAVAILABLE and nothing happened. When ctx ends while the commit is
// under way the result is unknown to the caller.
func (l *Log) Commit(ctx context.Context, change Change) error {
	_, err := l.submit(ctx, &write{change: change, weight: 1})
	return err
}

// Append makes the events durable.
func (l *Log) Append(ctx context.Context, events ...idp.Event) error {
	_, err := l.submit(ctx, &write{events: events, weight: len(events)})
	return err
}

// Admit asks whether a token may be issued, counts it, and makes its event
// durable, all in one transaction. The event is written only if admitted.
func (l *Log) Admit(ctx context.Context, a store.Admission, e idp.Event) (store.AdmissionResult, error) {
	return l.submit(ctx, &write{admission: &a, events: []idp.Event{e}, weight: 1})
}

func (l *Log) submit(ctx context.Context, w *write) (store.AdmissionResult, error) {
	if err := l.prepare(w.events); err != nil {
		return "", apierr.From(err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	w.ctx, w.done = ctx, make(chan outcome, 1)
	select {
	case l.queue <- w:
	case <-l.stopped:
		return "", unavailable(errors.New("the audit log is stopped"))
	default:
		l.metrics.overflow.Inc()
		return "", unavailable(errors.New("the audit queue is full"))
	}
	select {
	case result := <-w.done:
		return result.verdict, result.err
	case <-ctx.Done():
		return "", unknown(ctx.Err())
	case <-l.stopped:
		// The writer may have answered just before it stopped.
		select {
		case result := <-w.done:
			return result.verdict, result.err
		default:
			return "", unavailable(errors.New("the audit log is stopped"))
		}
	}
}

// prepare stamps events and proves that they can be encoded, in the caller's
// goroutine, so that the writer meets no surprise.
func (l *Log) prepare(events []idp.Event) error {
	now := idp.Time(l.opts.Now())
	for i := range events {
		e := &events[i]
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("event id: %w", err)
		}
		e.ID, e.Timestamp = id.String(), now
		if e.OrganizationID == "" || e.Action == "" || e.Outcome == "" {
			return fmt.Errorf("%w: organization, action and outcome are required: %q", errEncode, e.Action)
		}
		if _, err := Encode(e); err != nil {
			return err
		}
	}
	return nil
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
		case w := <-l.queue:
			l.first = append(l.first, w)
			l.turn(ctx)
		case <-more:
			l.turn(ctx)
		case <-sweeps.C:
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
			group = append(group, w)
			events += w.weight
		default:
			return group
		}
	}
	return group
}

// commitSummaries writes events nobody waits for. Those that cannot be written
// are counted and logged: they were already answered.
func (l *Log) commitSummaries(ctx context.Context, events []idp.Event) {
	if len(events) == 0 {
		return
	}
	w := &write{ctx: ctx, events: events, done: make(chan outcome, 1)}
	if err := l.prepare(events); err != nil {
		l.opts.Logger.Error("audit summary", "error", err)
		return
	}
	l.commit(ctx, []*write{w})
	if result := <-w.done; result.err != nil {
		l.metrics.failures.Inc()
		l.opts.Logger.Error("audit summary lost", "events", len(events), "error", result.err)
	}
}
