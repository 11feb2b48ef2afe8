// Package turnstile bounds work that keeps a core busy: so many at once, so
// many waiting in line, nobody else.
package turnstile

import (
	"context"
	"errors"
	"sync/atomic"
)

// ErrFull says that the line is as long as it may be.
var ErrFull = errors.New("the line is full")

// Turnstile lets a fixed number in at a time; the others wait, first come,
// first served. Safe for concurrent use.
type Turnstile struct {
	inside  chan struct{} // one element per caller inside
	waiting atomic.Int64
	line    int64
}

// New makes a turnstile for width callers at once and line more waiting.
func New(width, line int) *Turnstile {
	return &Turnstile{inside: make(chan struct{}, width), line: int64(line)}
}

// Enter waits for a place. After nil the caller must Leave. The errors are
// ErrFull, at once, and the cause of ctx when that ended first.
func (t *Turnstile) Enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case t.inside <- struct{}{}:
		return nil
	default:
	}
	if t.waiting.Add(1) > t.line {
		t.waiting.Add(-1)
		return ErrFull
	}
	defer t.waiting.Add(-1)
	select {
	case t.inside <- struct{}{}:
		if ctx.Err() != nil { // both were ready and the place was drawn
			t.Leave()
			return context.Cause(ctx)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Leave gives the place to the next in line.
func (t *Turnstile) Leave() { <-t.inside }

// Waiting is how many wait now.
func (t *Turnstile) Waiting() int { return int(t.waiting.Load()) }

// Width is how many may be inside at once.
func (t *Turnstile) Width() int { return cap(t.inside) }
