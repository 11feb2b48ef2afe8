package scenario

import (
	"context"

	"github.com/sentryagent/agentidp/bench/growth"
	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// Growth are the scenarios of `make bench-growth`, up to so many agents and
// events: each takes hours at the sizes that are promised, and gigabytes of disk.
func Growth(agents, events int64) []Scenario {
	return []Scenario{
		{"growth-agents", "tokens and authentication by the number of agents", func(ctx context.Context, r *Run) ([]result.Row, error) {
			return r.growth().Agents(ctx, decades(100, agents))
		}},
		{"growth-events", "audit queries and proofs by the number of events", func(ctx context.Context, r *Run) ([]result.Row, error) {
			return r.growth().Events(ctx, decades(100_000, events))
		}},
		{"growth-revocations", "the sidecar's revocation check by the number of entries", func(ctx context.Context, r *Run) ([]result.Row, error) {
			return r.growth().Revocations(ctx, decades(100, 100_000))
		}},
	}
}

func (r *Run) growth() *growth.Options {
	return &growth.Options{
		Stack: r.Spare, On: func(start func() error) error { return lab.On(r.Servers, start) },
		Rounds: r.Rounds, Slice: r.Slice, Say: func(line string) { r.Note("%s", line) },
	}
}

// decades are the sizes from first to last, each ten times the one before.
func decades(first, last int64) []int64 {
	var sizes []int64
	for size := first; size < last; size *= 10 {
		sizes = append(sizes, size)
	}
	return append(sizes, last)
}
