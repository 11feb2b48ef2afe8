package growth

import (
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/bench/result"
)

// What P10 promises, and up to which sizes.
const (
	flat     = 1.2 // latency at the most agents, of that at the fewest
	fewest   = 100 // agents, and revocations
	agents   = 1_000_000
	events   = 10_000_000
	slowest  = 50 // ms, p99 of an audit query at the most events
	entries  = 100_000
	heapMost = 10 // MB, of so many revocations
)

// Targets are those of P10 that the rows decide. A run that stopped at smaller
// sizes says nothing about the promised ones: its targets are invalid, with
// what it measured.
func Targets(rows []result.Row) []result.Target {
	var targets []result.Target
	for _, t := range []struct {
		name, scenario, subject, param string
		metric                         result.Metric
		most                           float64
	}{
		{"issuance p50, 1,000,000 agents / 100", Issuance, "idp", "agents", result.P50, agents},
		{"issuance p99, 1,000,000 agents / 100", Issuance, "idp", "agents", result.P99, agents},
		{"authentication p50, 1,000,000 agents / 100", Introspection, "idp", "agents", result.P50, agents},
		{"authentication p99, 1,000,000 agents / 100", Introspection, "idp", "agents", result.P99, agents},
		{"revocation check CPU, 100,000 entries / 100", Revocation, "sidecar", "revocations", result.CPU, entries},
		{"revocation check p50, 100,000 entries / 100", Revocation, "sidecar", "revocations", result.P50, entries},
	} {
		few, many, found := ends(rows, t.scenario, t.subject, t.param)
		if !found {
			continue
		}
		target := result.Target{ID: "P10", Name: t.name, Op: "<=", Bound: flat, Rounds: ratios(many, few, t.metric)}
		targets = append(targets, decide(target, t.param, t.most, few, many))
	}
	for _, scenario := range []string{List, Export, Proof} {
		if t, found := slowestOf(rows, scenario); found {
			targets = append(targets, t)
		}
	}
	if few, many, found := ends(rows, Revocation, "sidecar", "revocations"); found {
		target := result.Target{ID: "P10", Name: "heap of 100,000 revocations", Unit: "MB", Op: "<=", Bound: heapMost, Rounds: each(many, few, Heap, func(a, b float64) float64 { return (a - b) / 1e6 })}
		targets = append(targets, decide(target, "revocations", entries, few, many))
	}
	return targets
}

// ends are the rows of the smallest and the largest size.
func ends(rows []result.Row, scenario, subject, param string) (few, many result.Row, found bool) {
	var of []result.Row
	for _, r := range rows {
		if _, has := r.Params[param]; has && r.Scenario == scenario && r.Subject == subject {
			of = append(of, r)
		}
	}
	if len(of) == 0 {
		return few, many, false
	}
	bySize := func(a, b result.Row) int { return int(a.Params[param]) - int(b.Params[param]) }
	return slices.MinFunc(of, bySize), slices.MaxFunc(of, bySize), true
}

// slowestOf is the subject of a scenario that takes longest at the most events.
func slowestOf(rows []result.Row, scenario string) (result.Target, bool) {
	var worst result.Row
	most, longest, found := 0.0, 0.0, false
	for _, r := range rows {
		if r.Scenario == scenario {
			most = max(most, r.Params["events"])
		}
	}
	for _, r := range rows {
		if p99, ok := r.Median(result.P99); r.Scenario == scenario && r.Params["events"] == most && (r.Invalid != "" || ok && p99 > longest) {
			worst, longest, found = r, p99, true
			if r.Invalid != "" {
				break // nothing that is measured beside it counts
			}
		}
	}
	target := result.Target{
		ID: "P10", Name: fmt.Sprintf("%s at 10,000,000 events, slowest p99 (%s)", scenario[len("growth-"):], worst.Subject),
		Unit: "ms", Op: "<=", Bound: slowest, Rounds: each(worst, worst, result.P99, func(a, _ float64) float64 { return a / 1000 }),
	}
	return decide(target, "events", events, worst), found
}

// each combines the rounds of two rows.
func each(a, b result.Row, metric result.Metric, combine func(a, b float64) float64) []float64 {
	var values []float64
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		x, hasX := a.Rounds[i][metric]
		y, hasY := b.Rounds[i][metric]
		if hasX && hasY {
			values = append(values, combine(x, y))
		}
	}
	return values
}

func ratios(a, b result.Row, metric result.Metric) []float64 {
	return each(a, b, metric, func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return a / b
	})
}

// decide gives the target its value and verdict. The last row is the one of the
// largest size; of two, the first must be of the smallest.
func decide(t result.Target, param string, most float64, of ...result.Row) result.Target {
	value, measured := result.Median(t.Rounds)
	t.Value, t.Verdict = value, result.OK
	if value > t.Bound {
		t.Verdict = result.Missed
	}
	largest := of[len(of)-1].Params[param]
	switch {
	case !measured:
		t.Verdict, t.Why = result.Invalid, "there is no round with it"
	case largest != most:
		t.Verdict, t.Why = result.Invalid, fmt.Sprintf("measured at %.0f %s only", largest, param)
	case len(of) > 1 && of[0].Params[param] != fewest:
		t.Verdict, t.Why = result.Invalid, fmt.Sprintf("held against %.0f %s", of[0].Params[param], param)
	}
	for _, r := range of {
		if r.Invalid != "" {
			t.Verdict, t.Why = result.Invalid, r.Key()+": "+r.Invalid
		}
	}
	return t
}
