// Package target holds a run against what the product promises: P1 to P10 of
// docs/performance.md, computed from rows of that very run.
package target

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

// All are the targets that the run can decide: those whose rows it has.
func All(f *result.File) []result.Target {
	var targets []result.Target
	for _, group := range []func(*file) []result.Target{issuance, pressed, sidecar, audit, footprint, grown, everything} {
		targets = append(targets, group(&file{f})...)
	}
	return targets
}

// file is a run that is asked for rows.
type file struct{ *result.File }

// figure is what a target compares: a value for each round, whose median counts.
type figure struct {
	rounds  []float64
	present bool   // the run has the rows
	invalid string // why they must not be quoted
}

// find is a row by its key.
func (f *file) find(key string) (result.Row, figure) {
	row := f.Row(key)
	if row == nil {
		return result.Row{}, figure{}
	}
	return *row, figure{present: true, invalid: spoilt(*row)}
}

// crowded is the share of the measured cores that others may have.
const crowded = 0.10

func spoilt(row result.Row) string {
	if row.Invalid != "" {
		return row.Key() + ": " + row.Invalid
	}
	if foreign, has := row.Median(result.Foreign); has && foreign > crowded {
		return fmt.Sprintf("%s: other programs had %.0f %% of its cores", row.Key(), 100*foreign)
	}
	return ""
}

// metric is one row's figure, times scale.
func (f *file) metric(key string, m result.Metric, scale float64) figure {
	row, g := f.find(key)
	for _, sample := range row.Rounds {
		if v, ok := sample[m]; ok {
			g.rounds = append(g.rounds, v*scale)
		}
	}
	return g
}

// ratio divides two rows round by round. Both must have been measured in the
// same rounds, and under the same settings but for those that are named.
func (f *file) ratio(of, to string, m result.Metric, except ...string) figure {
	return f.ratioOf(of, to, m, m, except...)
}

func (f *file) ratioOf(of, to string, m, by result.Metric, except ...string) figure {
	a, first := f.find(of)
	b, second := f.find(to)
	if !first.present || !second.present {
		return figure{}
	}
	g := figure{present: true, rounds: result.RatiosOf(a, b, m, by), invalid: join(first.invalid, second.invalid)}
	if why := unlike(a, b, except); why != "" {
		g.invalid = join(g.invalid, why)
	}
	return g
}

// difference is what the first row has more than the second, round by round.
func (f *file) difference(of, to string, m result.Metric) figure {
	a, first := f.find(of)
	b, second := f.find(to)
	if !first.present || !second.present {
		return figure{}
	}
	g := figure{present: true, invalid: join(join(first.invalid, second.invalid), unlike(a, b, nil))}
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		g.rounds = append(g.rounds, a.Rounds[i][m]-b.Rounds[i][m])
	}
	return g
}

// unlike says how two rows were not measured alike.
func unlike(a, b result.Row, except []string) string {
	if len(a.Rounds) != len(b.Rounds) {
		return fmt.Sprintf("%s has %d rounds, %s %d", a.Key(), len(a.Rounds), b.Key(), len(b.Rounds))
	}
	rest := maps.Clone(b.Params)
	for _, name := range except {
		delete(rest, name)
	}
	for name, v := range a.Params {
		if slices.Contains(except, name) {
			continue
		}
		if other, ok := rest[name]; !ok || other != v {
			return fmt.Sprintf("%s and %s differ in %s", a.Key(), b.Key(), name)
		}
		delete(rest, name)
	}
	for name := range rest {
		return fmt.Sprintf("%s and %s differ in %s", a.Key(), b.Key(), name)
	}
	return ""
}

func join(a, b string) string {
	return strings.Trim(a+"; "+b, "; ")
}

const (
	atLeast = ">="
	atMost  = "<="
)

// judge is the target of a figure; none where the run does not have it.
func (g figure) judge(id, name, unit, op string, bound float64) []result.Target {
	if !g.present {
		return nil
	}
	t := result.Target{ID: id, Name: name, Unit: unit, Rounds: g.rounds, Op: op, Bound: bound}
	value, measured := result.Median(g.rounds)
	switch {
	case g.invalid != "":
		t.Verdict, t.Why = result.Invalid, g.invalid
	case !measured || math.IsNaN(value) || math.IsInf(value, 0):
		t.Verdict, t.Why, value = result.Invalid, "nothing was measured", 0
	case op == atLeast && value >= bound, op == atMost && value <= bound:
		t.Verdict = result.OK
	default:
		t.Verdict = result.Missed
	}
	if measured {
		t.Value = value
	}
	return []result.Target{t}
}
