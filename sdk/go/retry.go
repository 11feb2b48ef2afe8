package agentidp

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	attempts      = 4
	firstBackoff  = 200 * time.Millisecond
	maxRetryAfter = 10 * time.Second
)

// retry calls once until it succeeds, fails for good, or has failed four times.
// It pauses as long as a refusal asks for, else longer every time, and gives up
// when it asks for more than ten seconds.
func retry[T any](ctx context.Context, again func(error) bool, once func(context.Context) (T, error)) (T, error) {
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		result, err := once(ctx)
		if err == nil || attempt == attempts || ctx.Err() != nil || !again(err) {
			return result, err
		}
		pause := backoff/2 + rand.N(backoff/2) //nolint:gosec // jitter, not a secret
		var refused *Error
		if errors.As(err, &refused) && refused.RetryAfter > 0 {
			if refused.RetryAfter > maxRetryAfter {
				return result, err
			}
			pause = refused.RetryAfter + rand.N(firstBackoff) //nolint:gosec // jitter
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return result, err
		}
		backoff *= 2
	}
}
