package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const startups = 3 // rounds of a quick run

// startup measures each start on nothing, then on the data it left: the IdP's to
// its first token, the sidecar's until it is ready.
func startup(ctx context.Context, r *Run) ([]result.Row, error) {
	var s *stack.Stack
	starts := func(ctx context.Context, cores []int, f func(context.Context) error) (measured, error) {
		began := time.Now()
		err := lab.On(cores, func() error { return f(ctx) })
		return measured{sample: result.Sample{result.Duration: float64(time.Since(began)) / float64(time.Millisecond)}}, err
	}
	toToken := func(ctx context.Context) error {
		if err := s.StartIdP(ctx); err != nil {
			return err
		}
		credential, err := s.Administrator()
		if err != nil {
			return err
		}
		_, err = s.Config(credential).Token(ctx)
		return err
	}
	defer func() {
		if s != nil {
			_ = errors.Join(s.StopSidecar(), s.StopIdP()) // Close says what went wrong
		}
	}()
	rounds := r.Rounds
	if r.Quick {
		rounds = min(rounds, startups)
	}
	return r.interleave(ctx, rounds,
		newSubject("startup-first", "idp", nil, func(ctx context.Context) (m measured, err error) {
			if s != nil {
				if err := errors.Join(s.StopSidecar(), s.StopIdP()); err != nil {
					return m, err
				}
			}
			if s, err = r.Spare(ctx); err != nil {
				return m, err
			}
			return starts(ctx, r.Servers, toToken)
		}),
		newSubject("startup", "idp", nil, func(ctx context.Context) (measured, error) {
			if err := s.StopIdP(); err != nil {
				return measured{}, err
			}
			return starts(ctx, r.Servers, toToken)
		}),
		newSubject("startup-first", "sidecar", nil, func(ctx context.Context) (measured, error) {
			if err := s.Enrol(ctx); err != nil {
				return measured{}, err
			}
			return starts(ctx, r.Servers, s.StartSidecar)
		}),
		newSubject("startup", "sidecar", nil, func(ctx context.Context) (measured, error) {
			if err := s.StopSidecar(); err != nil {
				return measured{}, err
			}
			return starts(ctx, r.Servers, s.StartSidecar)
		}))
}
