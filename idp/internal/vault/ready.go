package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

// ready remembers for readyFor whether Vault serves us; one asks for all.
type ready struct {
	now  idp.Clock
	turn chan struct{} // an element while somebody asks; guards the rest
	at   time.Time
	err  error
}

func newReady(now idp.Clock) *ready { return &ready{now: now, turn: make(chan struct{}, 1)} }

func (r *ready) ask(ctx context.Context, ask func(context.Context) error) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: not known in time", ErrUnavailable)
	}
	defer func() { <-r.turn }()
	if !r.at.IsZero() && r.now().Sub(r.at) < readyFor {
		return r.err
	}
	// What is remembered for others does not depend on the patience of one.
	r.err = ask(context.WithoutCancel(ctx))
	r.at = r.now()
	return r.err
}
