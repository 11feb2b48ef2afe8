package report

import (
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/bench/result"
)

// at is when a round of the soak ended, in seconds from its begin.
const at result.Metric = "at_s"

// held are what a soak looks at, each a chart.
var held = []struct {
	metric result.Metric
	title  string
}{
	{result.PerSecond, "Throughput, per second"},
	{result.P99, "Latency, p99"},
	{result.RSS, "Resident memory"},
	{"fds", "Open file descriptors"},
	{"goroutines", "Goroutines"},
	{"spool_bytes", "The sidecar's spool"},
}

// overTime draws each round where it stands in the run: a soak's median says
// nothing about what grows.
func overTime(a area, rows []result.Row) []chart {
	var all []chart
	for _, h := range held {
		c := chart{ID: "soak-" + dashed(h.metric), Kind: lines, Title: h.title + ": soak", Note: "A point for each line of the run.", Panels: []string{""}, area: a}
		used := map[string]int{}
		for _, r := range rows {
			s := series{Name: label(r, "rate", rows), Colour: colour(r)}
			for _, sample := range r.Rounds {
				when, timed := sample[at]
				if v, has := sample[h.metric]; has && timed {
					tip := fmt.Sprintf("%s, after %s\n%s", s.Name, minutes(when), figure(v, unitOf(h.metric)))
					s.Points = append(s.Points, point{X: when / 60, Y: v, Low: v, High: v, Tip: tip})
				}
			}
			if len(s.Points) > 0 {
				s.Dash = dash(used[s.Colour])
				used[s.Colour]++
				c.Series = append(c.Series, s)
			}
		}
		if len(c.Series) == 0 {
			continue
		}
		_, last := extent(c.Series, horizontal)
		c.X = scale(0, last, false, plain)
		c.X.Label, c.X.High = "minutes", last
		c.X.Ticks = slices.DeleteFunc(c.X.Ticks, func(t tick) bool { return t.At > last })
		low, high := extent(c.Series, vertical)
		u := unitOf(h.metric)
		c.Y = scale(low, high, u == micros, u)
		all = append(all, c)
	}
	return all
}

func minutes(seconds float64) string { return digits(seconds/60) + " min" }
