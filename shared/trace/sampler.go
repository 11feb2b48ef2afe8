package trace

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"
)

// Followed is how many traces that callers sample are kept a second, beyond the
// Sampler's own share.
const Followed = 50

// Sampler decides which traces are kept: a share of those begun here, and of
// callers' traces those that they keep, but no more of them than the share and
// Followed a second. A caller is anybody: a proxy hands through what it is sent,
// so who passes a trace on does not tell who began it. Safe for concurrent use;
// nil keeps none.
type Sampler struct {
	Share float64          // from 0 to 1
	Now   func() time.Time // default time.Now

	mu   sync.Mutex
	left float64   // to follow; guarded by mu
	at   time.Time // when left was so; guarded by mu
}

// Start begins the span of a request. It continues the caller's trace when
// parent is a valid traceparent; state counts only then. Otherwise caller is
// zero and the trace is new.
func (s *Sampler) Start(parent []byte, state string) (own, caller Context) {
	caller, known := Parse(parent)
	if !known {
		own = New()
		if s.keeps(own.Trace) {
			own.Flags |= Sampled
		}
		return own, Context{}
	}
	if ValidState(state) {
		caller.State = state
	}
	own = caller.Child()
	if own.Sampled() && !s.follows() {
		own.Flags &^= Sampled
	}
	return own, caller
}

// keeps decides by the last seven bytes, which are random in every trace id
// (level 2, section 5.1.3.1), as OpenTelemetry's consistent sampling does.
func (s *Sampler) keeps(trace [16]byte) bool {
	return s != nil && float64(binary.BigEndian.Uint64(trace[8:])&(1<<56-1)) >= (1-s.Share)*(1<<56)
}

// follows decides on a trace that its caller samples. The id is the caller's
// choice, so the share is drawn.
func (s *Sampler) follows() bool {
	if s == nil {
		return false
	}
	if rand.Float64() < s.Share { //nolint:gosec // a sample need not be secret
		return true
	}
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	passed := max(0, now.Sub(s.at).Seconds()) // a clock that steps back gives nothing
	s.left, s.at = min(Followed, s.left+passed*Followed), now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}
