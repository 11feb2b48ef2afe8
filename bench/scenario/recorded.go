package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
)

const (
	drainWithin = 2 * time.Minute
	drainLook   = 100 * time.Millisecond // a look takes the sidecar's time too
)

// sequence is how far a sidecar's decisions have come.
type sequence struct {
	next  float64 // that it gives out
	acked float64 // that the IdP wants
}

// drained waits until the IdP has every decision, so that shipping them takes
// nothing from the next measurement.
func (r *Run) drained(ctx context.Context, admin string) error {
	for until := time.Now().Add(drainWithin); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(drainLook) {
		at, err := sequences(ctx, admin)
		if err != nil {
			return err
		}
		if at.acked == at.next {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("the IdP does not have every decision after %s", drainWithin)
}

func sequences(ctx context.Context, admin string) (at sequence, err error) {
	page, err := lab.ReadMetrics(ctx, admin)
	if err != nil {
		return at, err
	}
	if at.next, err = page.Value("sidecar_audit_next_seq"); err != nil {
		return at, err
	}
	at.acked, err = page.Value("sidecar_audit_acked_seq")
	return at, err
}
