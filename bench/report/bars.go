package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

// tall is the most bars in one chart; the table has the rest.
const tall = 16

// rivals are the area's subjects beside each other at the most connections
// that most of them were measured with.
func rivals(a area, rows []result.Row) []chart {
	closed := slices.DeleteFunc(slices.Clone(rows), func(r result.Row) bool {
		_, open := r.Params["rate"]
		_, has := r.Median(result.PerSecond)
		return open || !has || r.Params["connections"] == 0
	})
	groups := byScenario(closed)
	if a.alike {
		groups = [][]result.Row{closed}
	}
	var all []chart
	for _, group := range groups {
		at := commonest(group)
		group = slices.DeleteFunc(slices.Clone(group), func(r result.Row) bool { return r.Params["connections"] != at })
		if len(group) < 2 || !rivalled(group) {
			continue
		}
		c := barChart(a, group, result.PerSecond)
		c.ID = a.id + "-rivals"
		if !a.alike {
			c.ID += "-" + group[0].Scenario
		}
		c.Title = fmt.Sprintf("Side by side at %s, requests per second: %s", param("connections", at), a.about(group))
		c.Note = "Same machine, minutes and load: rounds alternate. The thin line spans the rounds."
		if base := c.against(group); base != "" {
			c.Note += " × is of " + base + "."
		}
		all = append(all, c)
	}
	return all
}

// commonest is the number of connections that most rows have; of several the
// highest.
func commonest(rows []result.Row) float64 {
	count := map[float64]int{}
	for _, r := range rows {
		count[r.Params["connections"]]++
	}
	var best float64
	for at, n := range count {
		if n > count[best] || n == count[best] && at > best {
			best = at
		}
	}
	return best
}

// singles are the rows that no curve has: one chart for each metric that is
// some row's foremost.
func singles(a area, rows []result.Row) []chart {
	swept := map[string]bool{}
	for _, s := range sweepable {
		for _, r := range s.of(rows) {
			swept[r.Key()] = true
		}
	}
	groups := map[result.Metric][]result.Row{}
	for _, r := range rows {
		if _, open := r.Params["rate"]; swept[r.Key()] || open {
			continue
		}
		for _, m := range foremost(r) {
			groups[m] = append(groups[m], r)
		}
	}
	var all []chart
	for _, m := range metricOrder {
		if len(groups[m]) == 0 {
			continue
		}
		c := barChart(a, groups[m], m)
		c.ID = fmt.Sprintf("%s-%s", a.id, dashed(m))
		c.Title = fmt.Sprintf("%s: %s", titles[m], a.about(groups[m]))
		c.Note = "The thin line spans the rounds."
		if n := len(groups[m]); n > tall {
			c.Note = fmt.Sprintf("The first %d of %d; the table has all. The thin line spans the rounds.", tall, n)
		}
		all = append(all, c)
	}
	return all
}

func dashed(m result.Metric) string { return strings.ReplaceAll(string(m), "_", "-") }

var titles = map[result.Metric]string{
	result.PerSecond: "Throughput, per second", result.Duration: "Time taken", result.P50: "Latency, p50", result.P99: "Latency, p99", result.RSS: "Resident memory", result.HitRate: "Hit rate",
}

// foremost are the metrics by which a row that stands alone is judged.
func foremost(r result.Row) []result.Metric {
	order := []result.Metric{result.Duration, result.PerSecond, result.P99, result.HitRate}
	if slices.ContainsFunc([]string{"audit-list", "growth-list", "proof", "query", "reach", "revocation", "start", "idle"}, func(word string) bool { return strings.Contains(r.Scenario, word) }) {
		order = []result.Metric{result.Duration, result.P99, result.PerSecond}
	}
	found := present([]result.Row{r}, order)
	found = found[:min(1, len(found))]
	if areaOf(r.Scenario).id == "footprint" || len(found) == 0 {
		found = append(found, present([]result.Row{r}, []result.Metric{result.RSS})...)
	}
	return found
}

func barChart(a area, rows []result.Row, m result.Metric) chart {
	c := chart{Kind: bars, Panels: []string{""}, area: a}
	u := unitOf(m)
	var high float64
	for _, r := range rows {
		low, middle, most, ok := spreadOf(r, m)
		if !ok {
			continue
		}
		name := label(r, "", rows)
		c.Marks = append(c.Marks, mark{Name: name, Colour: colour(r), Value: middle, Rounds: []float64{low, most}, Label: onAxis(middle, u), Tip: spread(name, low, middle, most, u)})
		high = max(high, most)
	}
	slices.SortStableFunc(c.Marks, func(p, q mark) int { return cmp.Compare(q.Value, p.Value) })
	c.Marks = c.Marks[:min(tall, len(c.Marks))]
	c.X = scale(0, high, false, u)
	return c
}

// against writes beside each bar how many times the base's it is; the base is
// the bare proxy, or else the first subject of ours. It is that one's name.
func (c *chart) against(rows []result.Row) string {
	base := slices.IndexFunc(rows, func(r result.Row) bool { return r.Subject == "bare" })
	if base < 0 {
		base = slices.IndexFunc(rows, ours)
	}
	if base < 0 {
		return ""
	}
	value, _ := rows[base].Median(result.PerSecond)
	name := label(rows[base], "", rows)
	for i, m := range c.Marks {
		if value > 0 && m.Name != name {
			c.Marks[i].Label += " · " + figure(m.Value/value, ratio) + "×"
		}
	}
	return name
}
