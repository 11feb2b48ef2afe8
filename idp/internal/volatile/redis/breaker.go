package redis

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// The breaker opens after three failures in a row, or when more than one
	// question in nine fails for some time.
	failureWeight = 8
	openAt        = 3 * failureWeight

	probeUp   = time.Second            // between probes while Redis is asked
	probeDown = 250 * time.Millisecond // between probes while it is not

	// A Redis that passes the probe and fails the questions is believed less and
	// less often: each such round doubles how long it is not asked.
	minHold   = 250 * time.Millisecond
	maxHold   = 8 * time.Second
	steadyFor = 10 * time.Second // after which the doubling starts again
)

// breaker says whether Redis is asked at all.
type breaker struct {
	isClosed atomic.Bool
	opened   chan struct{} // signalled when a question opened it

	mu     sync.Mutex // guards what follows
	score  int        // of recent failures
	hold   time.Duration
	opens  time.Time // when it opened last
	closes time.Time // when it closed last
	err    error     // why it is open
}

// newBreaker is open until a probe succeeds.
func newBreaker() *breaker {
	return &breaker{opened: make(chan struct{}, 1), hold: minHold, err: errOpen}
}

func (b *breaker) closed() bool { return b.isClosed.Load() }

// reason is why the breaker is open, nil if it is closed.
func (b *breaker) reason() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// asked is told how a question went.
func (b *breaker) asked(err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.closed(): // asked before it opened
	case err == nil:
		b.score = max(0, b.score-1)
	default:
		if b.score += failureWeight; b.score >= openAt {
			b.open(err, now)
			select {
			case b.opened <- struct{}{}:
			default:
			}
		}
	}
}

// probed is told how a probe went.
func (b *breaker) probed(err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil && b.closed():
		b.open(err, now)
	case err != nil:
		b.err = err
	case !b.closed():
		b.score, b.closes, b.err = 0, now, nil
		b.isClosed.Store(true)
	}
}

// open stops the asking. The caller holds the lock.
func (b *breaker) open(err error, now time.Time) {
	if now.Sub(b.closes) < steadyFor {
		b.hold = min(maxHold, 2*b.hold)
	} else {
		b.hold = minHold
	}
	b.opens, b.err = now, err
	b.isClosed.Store(false)
}

// pause is how long to wait before the next probe.
func (b *breaker) pause(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed() {
		return probeUp
	}
	return max(probeDown, b.opens.Add(b.hold).Sub(now))
}
