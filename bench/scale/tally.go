package scale

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// tally is who of many has a revocation, and when they had it.
type tally struct {
	base   time.Time      // of the round; set while nobody can have news of it
	at     []atomic.Int64 // when each had it, in nanoseconds from base
	have   atomic.Int64   // how many do
	page   atomic.Int64   // bytes of the last answer with an entry
	done   chan struct{}  // all do
	failed chan error     // somebody gave up
}

func newTally(size int) *tally {
	return &tally{base: time.Now(), at: make([]atomic.Int64, size), done: make(chan struct{}, 1), failed: make(chan error, size)}
}

// reset begins a round.
func (t *tally) reset() {
	t.have.Store(0)
	t.base = time.Now()
}

// mark says that one has it, in an answer of that size.
func (t *tally) mark(n, page int) {
	t.at[n].Store(int64(time.Since(t.base)))
	t.page.Store(int64(page))
	if t.have.Add(1) == int64(len(t.at)) {
		t.done <- struct{}{}
	}
}

// reached waits until all have it.
func (t *tally) reached(ctx context.Context) error {
	limit := time.NewTimer(fanLimit)
	defer limit.Stop()
	select {
	case <-t.done:
		return nil
	case err := <-t.failed:
		return err
	case <-limit.C:
		return fmt.Errorf("%d of %d have the entry after %v", t.have.Load(), len(t.at), fanLimit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tally) times() []time.Duration {
	at := make([]time.Duration, len(t.at))
	for n := range t.at {
		at[n] = time.Duration(t.at[n].Load())
	}
	return at
}
