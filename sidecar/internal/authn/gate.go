package authn

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// gate bounds the verifications under way and the callers that wait for one.
type gate struct {
	places  chan struct{}
	limit   int64
	waiting atomic.Int64
}

// enter waits for a place; leave gives it back. An error is an *apierr.Error.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.limit {
		return apierr.New(apierr.Overloaded, "too many tokens to verify").WithReason("verify_overloaded").WithRetryAfter(time.Second)
	}
	select {
	case g.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable("verify_timeout", ctx.Err())
	}
}

func (g *gate) leave() { <-g.places }
