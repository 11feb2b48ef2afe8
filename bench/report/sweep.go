package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/bench/result"
)

// sweep is a parameter that a scenario was measured at several values of.
type sweep struct {
	param, title, note string
	label              string // of the x axis
	log                bool
	metrics            []result.Metric // each a panel, if there are such figures
	fallback           []result.Metric
}

var sweepable = []sweep{
	{
		param: "connections", title: "Throughput", label: "connections", log: true,
		note:    "Closed loop: each connection sends its next request when the last was answered.",
		metrics: []result.Metric{result.PerSecond},
	},
	{
		param: "connections", title: "CPU per request", label: "connections", log: true,
		note:    "What the subject's process used, by the kernel's account, divided by its answers.",
		metrics: []result.Metric{result.CPU},
	},
	{
		param: "callers", title: "Throughput", label: "callers that wait", log: true,
		note:    "Each caller waits until its event is durable.",
		metrics: []result.Metric{result.PerSecond},
	},
	{
		param: "rate", title: "Latency", label: "requests sent per second",
		note:    "Open loop: requests leave at a fixed rate whatever becomes of those before, and wait from the moment at which they should have left.",
		metrics: []result.Metric{result.P50, result.P99, result.P999},
	},
	{
		param: "agents", title: "Latency by number of agents", label: "agents", log: true,
		note:    "Flat is what it should be.",
		metrics: []result.Metric{result.P50, result.P99}, fallback: []result.Metric{result.Duration, result.PerSecond},
	},
	{
		param: "events", title: "Latency by events in the log", label: "events", log: true,
		note:    "Flat is what it should be.",
		metrics: []result.Metric{result.P50, result.P99}, fallback: []result.Metric{result.Duration, result.PerSecond},
	},
	{
		param: "feeds", title: "Time to effect", label: "sidecars that listen", log: true,
		metrics: []result.Metric{result.P50, result.P99, result.Max}, fallback: []result.Metric{result.Duration},
	},
}

// most series in one chart that can be told apart by colour, dash and label.
const most = 9

// sweeps are the area's curves.
func sweeps(a area, rows []result.Row) []chart {
	var all []chart
	for _, s := range sweepable {
		swept := s.of(rows)
		if len(swept) == 0 {
			continue
		}
		groups := crowds(swept, s.param)
		for _, group := range groups {
			if c, ok := s.chart(a, group, len(groups) > 1); ok {
				all = append(all, c)
			}
		}
	}
	return all
}

// of are the rows that stand at two or more values of the parameter. An open
// loop's connections say nothing about its throughput.
func (s sweep) of(rows []result.Row) []result.Row {
	at := map[string]map[float64]bool{}
	has := func(r result.Row) bool {
		_, open := r.Params["rate"]
		_, swept := r.Params[s.param]
		return swept && (!open || s.param == "rate")
	}
	for _, r := range rows {
		if id := identity(r, s.param); has(r) {
			if at[id] == nil {
				at[id] = map[float64]bool{}
			}
			at[id][r.Params[s.param]] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r result.Row) bool { return !has(r) || len(at[identity(r, s.param)]) < 2 })
}

func (s sweep) chart(a area, rows []result.Row, one bool) (chart, bool) {
	metrics := present(rows, s.metrics)
	if len(metrics) == 0 {
		metrics = present(rows, s.fallback[:min(1, len(s.fallback))])
	}
	if len(metrics) == 0 {
		return chart{}, false
	}
	c := chart{ID: a.id + "-" + s.param, Kind: lines, Title: s.heading(a, rows, metrics, one), Note: s.note, area: a}
	if s.title == "CPU per request" {
		c.ID = a.id + "-cpu"
	}
	if one {
		c.ID += "-" + rows[0].Scenario
	}
	for _, m := range metrics {
		title := ""
		if len(metrics) > 1 {
			title = metricName(m)
		}
		c.Panels = append(c.Panels, title)
		c.Series = append(c.Series, s.series(rows, m, title)...)
	}
	var at []float64
	for _, r := range rows {
		at = append(at, r.Params[s.param])
	}
	u := unitOf(metrics[0])
	c.X = through(s.label, at, s.log)
	low, high := extent(c.Series, vertical)
	c.Y = scale(low, high, u == micros && s.title != "CPU per request" || u == millis, u)
	return c, true
}

func (s sweep) heading(a area, rows []result.Row, metrics []result.Metric, one bool) string {
	what := a.about(rows)
	if one {
		what = scenarios(rows)
	}
	switch u := unitOf(metrics[0]); {
	case s.param == "agents" || s.param == "events":
		return fmt.Sprintf("%s: %s", s.title, what)
	case s.param == "feeds":
		return s.title + " of a revocation"
	case u == perSecond:
		return fmt.Sprintf("%s, per second: %s", s.title, what)
	case s.title == "CPU per request":
		return fmt.Sprintf("%s, µs: %s", s.title, what)
	default:
		return fmt.Sprintf("%s by rate: %s", s.title, what)
	}
}

func (s sweep) series(rows []result.Row, m result.Metric, panel string) []series {
	var all []series
	used := map[string]int{}
	for _, id := range identities(rows, s.param) {
		one := series{Panel: panel, Dots: true}
		for _, r := range rows {
			if identity(r, s.param) != id {
				continue
			}
			low, middle, high, ok := spreadOf(r, m)
			if !ok {
				continue
			}
			one.Name, one.Colour = label(r, s.param, rows), colour(r)
			what := fmt.Sprintf("%s, %s %s", one.Name, short(r.Params[s.param]), s.label)
			one.Points = append(one.Points, point{X: r.Params[s.param], Y: middle, Low: low, High: high, Tip: spread(what, low, middle, high, unitOf(m))})
		}
		if len(one.Points) == 0 {
			continue
		}
		slices.SortFunc(one.Points, func(p, q point) int { return cmp.Compare(p.X, q.X) })
		one.Dash = dash(used[one.Colour])
		used[one.Colour]++
		all = append(all, one)
	}
	return all
}

func identities(rows []result.Row, without ...string) []string {
	var ids []string
	for _, r := range rows {
		if id := identity(r, without...); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// scenarios names what a part of an area is about.
func scenarios(rows []result.Row) string {
	groups := byScenario(rows)
	name := humane(groups[0][0].Scenario)
	if len(groups) > 1 {
		name = fmt.Sprintf("%s and %d more", name, len(groups)-1)
	}
	return name
}

// crowds are the rows, or where that were too many series for one chart, the
// rows of each scenario that has rivals, and all the others together.
func crowds(rows []result.Row, without ...string) [][]result.Row {
	if len(identities(rows, without...)) <= most {
		return [][]result.Row{rows}
	}
	var groups [][]result.Row
	var lonely []result.Row
	for _, group := range byScenario(rows) {
		if rivalled(group) {
			groups = append(groups, group)
		} else {
			lonely = append(lonely, group...)
		}
	}
	for _, group := range byScenario(lonely) {
		last := len(groups) - 1
		if last < 0 || rivalled(groups[last]) || len(identities(append(slices.Clone(groups[last]), group...), without...)) > most {
			groups = append(groups, group)
		} else {
			groups[last] = append(groups[last], group...)
		}
	}
	return groups
}

func rivalled(rows []result.Row) bool {
	return slices.ContainsFunc(rows, func(r result.Row) bool { return !ours(r) })
}

func byScenario(rows []result.Row) [][]result.Row {
	var groups [][]result.Row
	for _, r := range rows {
		i := slices.IndexFunc(groups, func(g []result.Row) bool { return g[0].Scenario == r.Scenario })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// present are the metrics that some row has.
func present(rows []result.Row, metrics []result.Metric) []result.Metric {
	var found []result.Metric
	for _, m := range metrics {
		if slices.ContainsFunc(rows, func(r result.Row) bool { _, ok := r.Median(m); return ok }) {
			found = append(found, m)
		}
	}
	return found
}

// spreadOf are the lowest round, the median and the highest.
func spreadOf(r result.Row, m result.Metric) (low, middle, high float64, ok bool) {
	middle, ok = r.Median(m)
	if !ok {
		return 0, 0, 0, false
	}
	low, high = middle, middle
	for _, sample := range r.Rounds {
		if v, has := sample[m]; has {
			low, high = min(low, v), max(high, v)
		}
	}
	return low, middle, high, true
}
