package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// startPatience is how long a start waits for what it cannot do without:
	// machines that come up together do so in any order.
	startPatience = 30 * time.Second
	startPause    = 500 * time.Millisecond // between attempts
	startTold     = 5 * time.Second        // between lines of the log about the same
)

// dependency is something that another machine has to give before this one serves.
type dependency struct {
	name   string               // as the log and the error call it
	reason string               // stable, for the log
	heals  func(err error) bool // reports whether it may go away by itself
}

// await makes attempts until one succeeds or fails for good, until patience has
// passed, or ctx ends. With no patience there is one attempt.
func (d dependency) await(ctx context.Context, patience time.Duration, logger *slog.Logger, attempt func() error) error {
	var told time.Time
	for began := time.Now(); ; {
		err := attempt()
		switch waited := time.Since(began); {
		case err == nil, ctx.Err() != nil, patience == 0, !d.heals(err):
			return err
		case waited >= patience:
			return fmt.Errorf("%s did not answer for %s: %w", d.name, patience, err)
		}
		if time.Since(told) >= startTold {
			told = time.Now()
			logger.WarnContext(ctx, "the start waits", "for", d.name, "reason", d.reason, "error", err, "until", began.Add(patience))
		}
		select {
		case <-time.After(startPause):
		case <-ctx.Done():
			return err
		}
	}
}
