package policy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// An evaluation of fewer steps (about a millisecond of work) did not run away:
// past its deadline it was starved of the processor, and a refusal would
// help nobody. It gets starvedFactor times the deadline.
const (
	starvedSteps  = 1000
	starvedFactor = 4
)

// stop ends an evaluation at its deadline or with the caller's context. OPA
// polls it before every expression, so no goroutine waits.
type stop struct {
	ctx     context.Context
	start   time.Time
	timeout time.Duration
	late    atomic.Bool // set by the timer

	// Owned by the evaluating goroutine.
	steps   int
	stopped bool
}

var _ topdown.Cancel = (*stop)(nil)

func (s *stop) Cancel() { s.late.Store(true) }

func (s *stop) Cancelled() bool {
	s.steps++
	if s.late.Load() {
		s.stopped = s.stopped || s.steps > starvedSteps || time.Since(s.start) > starvedFactor*s.timeout
	}
	s.stopped = s.stopped || s.ctx.Err() != nil
	return s.stopped
}
