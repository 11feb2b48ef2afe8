package policy

import (
	"context"
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

// A look at the clock takes as long as a step. So it is looked at before every
// clockSteps-th step, and before each one of an evaluation whose steps are slow.
const (
	clockSteps = 16
	slowStep   = 20 * time.Microsecond
)

// stop ends an evaluation at its deadline or with the caller's context. OPA
// polls it before every expression, so no goroutine and no timer waits. It is owned by
// the evaluating goroutine.
type stop struct {
	ctx     context.Context
	start   time.Time
	timeout time.Duration

	steps   int
	look    int           // the step before which the clock is looked at
	elapsed time.Duration // at the last look
	stopped bool
}

var _ topdown.Cancel = (*stop)(nil)

func (s *stop) Cancel() { s.stopped = true }

func (s *stop) Cancelled() bool {
	s.steps++
	if s.steps >= s.look {
		s.watch(time.Since(s.start))
	}
	s.stopped = s.stopped || s.ctx.Err() != nil
	return s.stopped
}

// watch judges the time since start.
func (s *stop) watch(elapsed time.Duration) {
	if elapsed > s.timeout {
		s.stopped = s.stopped || s.steps > starvedSteps || elapsed > starvedFactor*s.timeout
	}
	pace := clockSteps
	if elapsed-s.elapsed > slowStep*clockSteps {
		pace = 1
	}
	s.look, s.elapsed = s.steps+pace, elapsed
}
