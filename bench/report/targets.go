package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

var verdicts = []struct {
	verdict      result.Verdict
	name, colour string
}{
	{result.OK, "met", "met"}, {result.Missed, "missed", "missed"}, {result.Invalid, "invalid", "invalid"},
}

type count struct {
	Name string
	N    int
}

func tally(targets []result.Target) []count {
	var all []count
	for _, v := range verdicts {
		n := 0
		for _, t := range targets {
			if t.Verdict == v.verdict {
				n++
			}
		}
		all = append(all, count{v.name, n})
	}
	return all
}

// targetChart is every target by its distance from its bound: right of the line
// is met, whichever way the bound is meant.
func targetChart(targets []result.Target) []chart {
	if len(targets) == 0 {
		return nil
	}
	c := chart{
		ID: "targets", Kind: limits, Title: "Targets, by their distance from the bound",
		Note: "On the line: exactly the bound. Right of it: better. Small dots are rounds, the large one their median.",
		area: area{id: "targets", title: "Targets", intro: "Promises, held against this run. Invalid is not a miss: the run did not do what it should have measured."}, Panels: []string{""},
	}
	low, high := 0.5, 2.0
	for _, t := range targets {
		m := mark{
			Name: strings.TrimSpace(t.ID + "  " + t.Name), Colour: "invalid", Value: margin(t, t.Value), Label: sentence(t),
			Hollow: t.Verdict == result.Invalid, Tip: t.String(),
		}
		for _, v := range verdicts {
			if v.verdict == t.Verdict {
				m.Colour = v.colour
			}
		}
		for _, r := range t.Rounds {
			m.Rounds = append(m.Rounds, margin(t, r))
		}
		low, high = min(low, m.Value), max(high, m.Value)
		c.Marks = append(c.Marks, m)
	}
	low, high = math.Pow(2, math.Floor(math.Log2(low))), math.Pow(2, math.Ceil(math.Log2(high)))
	c.X = axis{Label: "times better than the bound", Log: true, Low: low, High: high}
	for at := low; at <= high; at *= 2 {
		c.X.Ticks = append(c.X.Ticks, tick{at, times(at)})
	}
	return []chart{c}
}

// margin is above 1 where the value is better than the bound. What cannot be
// divided, an invalid zero, stands at the axis's near end.
func margin(t result.Target, value float64) float64 {
	m := value / t.Bound
	if t.Op == "<=" {
		if value < 0 { // less than nothing was added
			return 1 / floor
		}
		m = t.Bound / value
	}
	if math.IsNaN(m) || m <= 0 {
		return floor
	}
	return min(max(m, floor), 1/floor)
}

const floor = 1.0 / 16

// sentence is 0.93 ≥ 0.90 met.
func sentence(t result.Target) string {
	op := map[string]string{">=": "≥", "<=": "≤"}[t.Op]
	name := string(t.Verdict)
	for _, v := range verdicts {
		if v.verdict == t.Verdict {
			name = v.name
		}
	}
	value, bound := targetFigure(t.Value, t.Unit), targetFigure(t.Bound, t.Unit)
	return fmt.Sprintf("%s %s %s  %s", value, op, bound, name)
}

func targetFigure(v float64, unit string) string {
	if unit == "" {
		return figure(v, ratio)
	}
	return grouped(v) + " " + unit
}

func times(v float64) string {
	if v < 1 {
		return "1/" + digits(1/v) + "×"
	}
	return digits(v) + "×"
}
