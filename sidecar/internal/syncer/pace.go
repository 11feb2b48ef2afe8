package syncer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// slow is how long after a refusal that will not pass by itself the same is asked again.
const slow = time.Minute

// pace says when to try again after failures in a row.
type pace struct {
	least, most time.Duration
	failures    int
}

// good forgets the failures.
func (p *pace) good() { p.failures = 0 }

// bad answers how long to wait: doubling with jitter, at least what the IdP
// asked for, slowly when it refuses for good.
func (p *pace) bad(err error) time.Duration {
	wait := p.most
	if p.failures < 16 {
		wait = min(p.most, p.least<<p.failures)
	}
	p.failures++
	var r *refusal
	if errors.As(err, &r) {
		if r.permanent() && r.status != 401 { // a refused token was forgotten: another may do
			wait = max(wait, slow)
		}
		wait = max(wait, r.after)
	}
	return jitter(wait)
}

// jitter varies d by a tenth either way, so that a fleet does not move in step.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // nothing to guess
}

// sleep waits; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// age is how long ago then was, by the clock on the wall or the one that never
// steps, whichever says more: neither a clock set back nor a machine that slept
// makes knowledge look fresh.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}
