package scenario

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// sidecarPair measures what the sidecar adds to a latency: requests go to the
// bare proxy and to the sidecar in turn, so that the machine's mood, which is
// many times as much, falls on both. First with one token, then with a new one
// for each request.
func sidecarPair(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	minted, err := r.mint(ctx, r.tokens())
	if err != nil {
		return nil, err
	}
	for _, s := range []server{r.bareProxy(), r.sidecar()} {
		r.warm(ctx, s, notes(token), 1)
	}
	return r.interleave(ctx, r.Rounds, append(r.pair(1, func(context.Context) (load.Scenario, error) {
		return notes(token), nil
	}), r.pair(len(minted), func(ctx context.Context) (load.Scenario, error) {
		if err := r.RestartSidecar(ctx); err != nil { // it has seen none
			return load.Scenario{}, err
		}
		r.warm(ctx, r.sidecar(), notes(token), 1)
		return each(minted, 1), nil
	})...)...)
}

// pair is both subjects of one measurement, which the first makes.
func (r *Run) pair(tokens int, prepare func(context.Context) (load.Scenario, error)) []*subject {
	params := map[string]float64{"tokens": float64(tokens)}
	var both [2]measured
	return []*subject{
		newSubject("sidecar-pair", "bare", params, func(ctx context.Context) (measured, error) {
			l, err := prepare(ctx)
			if err != nil {
				return measured{}, err
			}
			both, err = r.inTurn(ctx, l)
			return both[0], err
		}),
		newSubject("sidecar-pair", "sidecar", params, func(context.Context) (measured, error) { return both[1], nil }),
	}
}

func (r *Run) inTurn(ctx context.Context, l load.Scenario) (both [2]measured, err error) {
	servers := [2]server{r.bareProxy(), r.sidecar()}
	admin := servers[1].metrics()
	if err := r.drained(ctx, admin); err != nil {
		return both, err
	}
	before, err := sequences(ctx, admin)
	if err != nil {
		return both, err
	}
	pids := append(servers[0].pids(), servers[1].pids()...)
	began, err := r.spend(pids)
	if err != nil {
		return both, err
	}
	var of [2]load.Scenario
	for i, s := range servers {
		of[i] = l
		of[i].Addr = s.addr
	}
	loaded := load.Pair(ctx, r.Slice, of)
	used, err := r.spend(pids)
	if err != nil {
		return both, err
	}
	after, err := sequences(ctx, admin)
	if err != nil {
		return both, err
	}
	var spoilt error
	for i, one := range loaded {
		both[i] = measured{one.Sample(), one.Latency}
		delete(both[i].sample, result.PerSecond) // each waits for the other
		used.foreign(began, both[i].sample)
		spoilt = errors.Join(spoilt, failed(one))
		if why := r.misplaced(servers[i]); why != "" {
			spoilt = errors.Join(spoilt, invalid{why})
		}
	}
	if recorded := after.next - before.next; recorded != float64(loaded[1].Requests) {
		spoilt = errors.Join(spoilt, invalidf("%d requests, and %.0f decisions recorded", loaded[1].Requests, recorded))
	}
	return both, errors.Join(spoilt, ctx.Err())
}
