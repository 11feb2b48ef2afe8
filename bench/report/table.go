package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

type table struct {
	Columns []string
	Rows    []line
}

type line struct {
	Scenario, Subject, Params, Colour, Invalid string
	Cells                                      []cell
}

// cell is empty where the row has no such figure.
type cell struct {
	Text   string
	Spread string // lowest to highest round
	Sort   float64
	Has    bool
}

// tabulate has every row and every metric that any row has.
func tabulate(rows []result.Row) table {
	seen := map[result.Metric]bool{}
	for _, r := range rows {
		for _, sample := range r.Rounds {
			for m := range sample {
				seen[m] = true
			}
		}
	}
	var metrics []result.Metric
	for _, m := range metricOrder {
		if seen[m] {
			metrics = append(metrics, m)
			delete(seen, m)
		}
	}
	metrics = append(metrics, slices.Sorted(maps.Keys(seen))...)
	var t table
	for _, m := range metrics {
		t.Columns = append(t.Columns, metricName(m))
	}
	for _, r := range rows {
		l := line{Scenario: r.Scenario, Subject: subjectName(r.Subject), Params: params(r), Colour: colour(r), Invalid: r.Invalid}
		for _, m := range metrics {
			l.Cells = append(l.Cells, tableCell(r, m))
		}
		t.Rows = append(t.Rows, l)
	}
	return t
}

func tableCell(r result.Row, m result.Metric) cell {
	low, middle, high, ok := spreadOf(r, m)
	if !ok {
		return cell{}
	}
	u := unitOf(m)
	if u == perSecond {
		u = plain // the column's name says it
	}
	c := cell{Text: figure(middle, u), Sort: middle, Has: true}
	if low != high {
		c.Spread = fmt.Sprintf("%s – %s", figure(low, u), figure(high, u))
	}
	return c
}

func params(r result.Row) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		all = append(all, param(name, r.Params[name]))
	}
	return strings.Join(all, ", ")
}
