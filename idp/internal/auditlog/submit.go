package auditlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// write is one caller's wish, waiting for the group commit that carries it.
type write struct {
	ctx       context.Context
	change    change           // one of change and admission may be set
	admission *store.Admission // event is written only if admitted
	entries   []entry          // of an admission or a plain append
	weight    int              // how many events it will bring, roughly; bounds a group
	meanwhile Meanwhile        // of an admission; nil: the answer is waited for at once
	taken     atomic.Bool      // out of the queue
	done      chan outcome     // buffered, and written to once: the writer never waits for a caller
}

// change is a Change whose events are encoded.
type change func(ctx context.Context, tx *store.Tx) ([]entry, error)

type outcome struct {
	verdict store.AdmissionResult
	err     error
}

// submit makes w and its events go with a group commit.
func (l *Log) submit(ctx context.Context, w *write, events ...idp.Event) (verdict store.AdmissionResult, err error) {
	if w.entries, err = l.prepare(events); err != nil {
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
	if w.meanwhile == nil || len(l.queue) >= company {
		l.hurry()
	}
	if w.meanwhile != nil {
		w.meanwhile(func() bool { return l.due(w) })
		l.due(w) // whatever it was to wait for is over
	}
	result := l.await(w)
	return result.verdict, result.err
}

// due makes a write that still waits for company go, and reports whether it may
// be admitted yet.
func (l *Log) due(w *write) bool {
	select {
	case result := <-w.done:
		w.done <- result // for await
		return result.err == nil && result.verdict == store.Admitted
	default:
	}
	if !w.taken.Load() {
		l.hurry()
	}
	return true
}

// await is the answer to a write that was made to go. One that is there counts,
// however late it is asked for.
func (l *Log) await(w *write) outcome {
	select {
	case result := <-w.done:
		return result
	default:
	}
	select {
	case result := <-w.done:
		return result
	case <-w.ctx.Done():
		return outcome{err: unknown(w.ctx.Err())}
	case <-l.stopped:
		// The writer may have answered just before it stopped.
		select {
		case result := <-w.done:
			return result
		default:
			return outcome{err: unavailable(errors.New("the audit log is stopped"))}
		}
	}
}

// hurry makes the writer commit what is queued.
func (l *Log) hurry() {
	select {
	case l.wake <- struct{}{}:
	default: // it will
	}
}

// entry is an event that only lacks its place in the log.
type entry struct {
	row  store.EventRow // but for Sequence and Body
	leaf unnumbered
}

// prepare stamps events and encodes them, in the caller's goroutine, so that the
// writer meets no surprise and has little to do.
func (l *Log) prepare(events []idp.Event) ([]entry, error) {
	now := idp.Time(l.opts.Now())
	ids, err := newIDs(len(events))
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(events))
	for i := range events {
		e := &events[i]
		e.ID, e.Timestamp = ids[i], now
		if e.OrganizationID == "" || e.Action == "" || e.Outcome == "" {
			return nil, fmt.Errorf("%w: organization, action and outcome are required: %q", errEncode, e.Action)
		}
		leaf, err := encode(e)
		if err != nil {
			return nil, err
		}
		entries[i] = entry{leaf: leaf, row: store.EventRow{
			ID: e.ID, OrganizationID: e.OrganizationID, AgentID: e.AgentID, Action: e.Action, Outcome: e.Outcome, Timestamp: e.Timestamp,
		}}
	}
	return entries, nil
}

// newIDs makes event ids in ascending order (UUIDv7).
func newIDs(n int) ([]string, error) {
	random := make([]byte, n*len(uuid.UUID{}))
	_, _ = rand.Read(random) // never fails
	source := bytes.NewReader(random)
	ids := make([]string, n)
	for i := range ids {
		id, err := uuid.NewV7FromReader(source)
		if err != nil {
			return nil, fmt.Errorf("event id: %w", err)
		}
		ids[i] = id.String()
	}
	return ids, nil
}
