package main

import (
	"fmt"
	"io"

	"github.com/sentryagent/agentidp/bench/result"
)

var columns = []struct {
	title  string
	metric result.Metric
	digits int
	scale  float64
}{
	{"per second", result.PerSecond, 0, 1}, {"p50 µs", result.P50, 0, 1}, {"p99 µs", result.P99, 0, 1}, {"p99.9 µs", result.P999, 0, 1},
	{"CPU µs", result.CPU, 1, 1}, {"allocs", result.Allocs, 0, 1}, {"RSS MiB", result.RSS, 1, 1.0 / (1 << 20)}, {"ms", result.Duration, 1, 1},
}

// writeTable prints every row's medians and every target.
func writeTable(w io.Writer, f *result.File) {
	fmt.Fprintf(w, "\n%d cores of %s; store %s; signing %s; medians of %d rounds of %gs; %.0fs in all\n\n",
		f.Machine.Cores, f.Machine.CPU, f.Settings.Store, f.Settings.Signer, f.Settings.Rounds, f.Settings.RoundSeconds, f.Seconds)
	fmt.Fprintf(w, "%-58s", "row")
	for _, c := range columns {
		fmt.Fprintf(w, "%11s", c.title)
	}
	fmt.Fprintln(w)
	for _, row := range f.Rows {
		fmt.Fprintf(w, "%-58s", row.Key())
		for _, c := range columns {
			text := ""
			if v, ok := row.Median(c.metric); ok {
				text = fmt.Sprintf("%.*f", c.digits, v*c.scale)
			}
			fmt.Fprintf(w, "%11s", text)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	for _, row := range f.Rows {
		if row.Invalid != "" {
			fmt.Fprintf(w, "%s INVALID: %s\n", row.Key(), row.Invalid)
		}
	}
	for _, target := range f.Targets {
		fmt.Fprintln(w, target)
	}
}
