package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/scenario"
)

// progress tells whoever waits what is going on, a line a measurement.
type progress struct {
	w     io.Writer
	now   func() time.Time
	began time.Time
}

func newProgress(w io.Writer, now func() time.Time) *progress {
	return &progress{w: w, now: now, began: now()}
}

func (p *progress) line(format string, args ...any) {
	fmt.Fprintf(p.w, "%6.1fs  %s\n", p.now().Sub(p.began).Seconds(), fmt.Sprintf(format, args...))
}

func (p *progress) begin(s scenario.Scenario) { p.line("== %s: %s", s.Name, s.About) }

func (p *progress) note(format string, args ...any) { p.line(format, args...) }

func (p *progress) done() { p.line("done") }

// measured is called after each measurement.
func (p *progress) measured(row result.Row, round int) {
	if round >= len(row.Rounds) {
		return
	}
	p.line("%-52s %d  %s%s", row.Key(), round+1, figures(row.Rounds[round]), spoilt(row))
}

func spoilt(row result.Row) string {
	if row.Invalid == "" {
		return ""
	}
	return "  INVALID: " + row.Invalid
}

// shown are the figures of a line, in their order.
var shown = []struct {
	metric result.Metric
	format string
	scale  float64
}{
	{result.PerSecond, "%.0f/s", 1}, {result.P50, "p50 %.0f µs", 1}, {result.P99, "p99 %.0f µs", 1}, {result.CPU, "CPU %.1f µs", 1},
	{result.Allocs, "%.0f allocs", 1}, {result.Duration, "%.0f ms", 1}, {result.HitRate, "hits %.1f %%", 100},
	{result.RSS, "%.1f MiB", 1.0 / (1 << 20)}, {result.Errors, "%.0f errors", 1}, {result.Unsent, "%.0f unsent", 1}, {result.TurnedAway, "%.0f turned away", 1},
	{result.Foreign, "others had %.0f %%", 100},
}

func figures(s result.Sample) string {
	var parts []string
	for _, f := range shown {
		v, ok := s[f.metric]
		if !ok || v == 0 && slices.Contains([]result.Metric{result.Errors, result.Unsent, result.Foreign}, f.metric) {
			continue
		}
		parts = append(parts, fmt.Sprintf(f.format, v*f.scale))
	}
	return strings.Join(parts, "  ")
}
