package scenario

import (
	"context"
	"math"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

const (
	rates     = 5    // at so many is a latency measured
	busiest   = 0.85 // of what the slowest subject does in a closed loop, at most
	perDecade = 5
)

// atRates measures servers, the same request on each, at the same rates: those
// of a fixed ladder, so that two runs can be compared, just below what the
// slowest does in a closed loop. settle ends what the measurement before left.
func (r *Run) atRates(ctx context.Context, scenario string, l load.Scenario, connections int, settle func(context.Context) error, servers ...server) ([]result.Row, error) {
	slowest := math.Inf(1)
	for _, s := range servers {
		m, err := r.closed(ctx, s, l, connections)
		if err != nil {
			return nil, err
		}
		slowest = min(slowest, m.sample[result.PerSecond])
	}
	var subjects []*subject
	for _, rate := range ladder(slowest * busiest) {
		for _, s := range servers {
			subjects = append(subjects, newSubject(scenario, s.name, map[string]float64{"rate": rate}, func(ctx context.Context) (measured, error) {
				if err := settle(ctx); err != nil {
					return measured{}, err
				}
				return r.open(ctx, s, l, rate)
			}))
		}
	}
	return r.interleave(ctx, r.Rounds, subjects...)
}

// ladder is the highest rungs of 1, 2, 3, 5, 7, 10, 20 … up to top, ascending.
func ladder(top float64) []float64 {
	var rungs []float64
	for decade := 1.0; decade <= top; decade *= 10 {
		for _, step := range [perDecade]float64{1, 2, 3, 5, 7} {
			if rung := step * decade; rung <= top {
				rungs = append(rungs, rung)
			}
		}
	}
	return rungs[max(0, len(rungs)-rates):]
}

func issuanceRate(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	return r.atRates(ctx, "issuance-rate", tokens(tokenPath, basic(r.Reader.Credential), tokenForm(r.Resource())), 8, func(context.Context) error { return nil }, r.idp())
}

func sidecarRate(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	shipped := func(ctx context.Context) error { return r.drained(ctx, r.SidecarAdmin) }
	rows, err := r.atRates(ctx, "sidecar-rate", notes(token), 64, shipped, r.bareProxy(), r.sidecar())
	if err != nil {
		return nil, err
	}
	return rows, shipped(ctx)
}
