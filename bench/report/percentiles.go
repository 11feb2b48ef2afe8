package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/result"
)

// percentiles are the area's whole distributions: of closed loops at the most
// connections, of open loops at the highest rate.
func percentiles(a area, rows []result.Row) ([]chart, error) {
	if a.id == "limits" || a.id == "footprint" {
		return nil, nil
	}
	open, closed := map[string]result.Row{}, map[string]result.Row{}
	var openIDs, closedIDs []string
	for _, r := range rows {
		if r.Histogram == "" || grows(r) {
			continue
		}
		if _, is := r.Params["rate"]; is {
			openIDs = greatest(open, openIDs, r, "rate")
		} else {
			closedIDs = greatest(closed, closedIDs, r, "connections")
		}
	}
	var all []chart
	for _, kind := range []struct {
		id, title, note string
		rows            map[string]result.Row
		ids             []string
	}{
		{"open", "at the highest rate", "Open loop at its highest rate.", open, openIDs},
		{"closed", "at full load", "Closed loop at the most connections; queues are part of it.", closed, closedIDs},
	} {
		var chosen []result.Row
		for _, id := range kind.ids {
			chosen = append(chosen, kind.rows[id])
		}
		if len(chosen) == 0 {
			continue
		}
		groups := crowds(chosen)
		for _, group := range groups {
			c, err := percentileChart(a, group)
			if err != nil {
				return nil, err
			}
			c.ID = fmt.Sprintf("%s-percentiles-%s", a.id, kind.id)
			what := a.about(group)
			if len(groups) > 1 {
				c.ID += "-" + group[0].Scenario
				what = scenarios(group)
			}
			c.Title = fmt.Sprintf("Latency by percentile %s: %s", kind.title, what)
			c.Note = kind.note + " Rightwards: the slowest of 10, of 100, of 1,000."
			all = append(all, c)
		}
	}
	return all, nil
}

// inTurn are the rows of requests that were sent to two subjects in turn, and
// the others: those were under no load.
func inTurn(rows []result.Row) (turns, others []result.Row) {
	for _, r := range rows {
		if r.Scenario == "sidecar-pair" {
			turns = append(turns, r)
		} else {
			others = append(others, r)
		}
	}
	return turns, others
}

func turnsChart(a area, rows []result.Row) (chart, error) {
	c, err := percentileChart(a, rows)
	c.ID, c.Title = a.id+"-pair", "Latency by percentile: what the sidecar adds"
	c.Note = "One request at a time, to the bare proxy and to the sidecar in turn; with one token, and with a new one each time."
	return c, err
}

// grows tells of rows that stand in a curve of their own already.
func grows(r result.Row) bool {
	for _, name := range []string{"agents", "events", "feeds"} {
		if _, has := r.Params[name]; has {
			return true
		}
	}
	return false
}

// greatest keeps, of each series, the row with the greatest parameter.
func greatest(rows map[string]result.Row, ids []string, r result.Row, name string) []string {
	id := identity(r, name)
	if old, ok := rows[id]; !ok {
		ids = append(ids, id)
	} else if old.Params[name] > r.Params[name] {
		return ids
	}
	rows[id] = r
	return ids
}

func percentileChart(a area, rows []result.Row) (chart, error) {
	c := chart{Kind: lines, Panels: []string{""}, area: a}
	used := map[string]int{}
	for _, r := range rows {
		h, err := hdrhistogram.Decode([]byte(r.Histogram))
		if err != nil {
			return chart{}, fmt.Errorf("the histogram of %s: %w", r.Key(), err)
		}
		if h.TotalCount() == 0 {
			continue
		}
		s := series{Name: label(r, "", rows), Colour: colour(r)}
		s.Dash = dash(used[s.Colour])
		used[s.Colour]++
		s.Points = quantiles(h, s.Name)
		c.Series = append(c.Series, s)
	}
	low, high := extent(c.Series, vertical)
	c.Y = scale(max(low, 1), high, true, micros)
	_, far := extent(c.Series, horizontal)
	c.X = axis{Label: "percentile", High: far}
	for _, t := range []tick{{nines(0.5), "50"}, {1, "90"}, {2, "99"}, {3, "99.9"}, {4, "99.99"}, {5, "99.999"}} {
		if t.At <= far {
			c.X.Ticks = append(c.X.Ticks, t)
		}
	}
	return c, nil
}

// quantiles goes as far as ten requests are beyond, and not further: the last
// ones are single accidents.
func quantiles(h *hdrhistogram.Histogram, name string) []point {
	var points []point
	most := max(1, math.Log10(float64(h.TotalCount())/10))
	const steps = 40
	for i := range steps + 1 {
		x := most * float64(i) / steps
		q := 1 - math.Pow(10, -x)
		v := float64(max(1, h.Min(), h.ValueAtQuantile(q*100)))
		tip := fmt.Sprintf("%s\n%s %% within %s", name, digits5(q*100), figure(v, micros))
		points = append(points, point{X: x, Y: v, Low: v, High: v, Tip: tip})
	}
	return points
}

// nines is where a quantile stands on the axis: 0.9 at 1, 0.99 at 2.
func nines(q float64) float64 { return -math.Log10(1 - q) }

func digits5(v float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
}
