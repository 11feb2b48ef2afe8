package scale

import (
	"fmt"
	"io"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

// shown are the figures of a line, in their order.
var shown = []struct {
	metric result.Metric
	format string
}{
	{AnswerMS, "answer %.1f ms"}, {FirstMS, "first %.1f ms"}, {HalfMS, "half %.1f ms"}, {LastMS, "last %.1f ms"}, {EachCPU, "%.1f µs each"}, {IdleCPU, "idle %.1f µs/s each"},
	{HeldBytes, "%.0f bytes held"}, {PageBytes, "page %.0f bytes"}, {EntryBytes, "snapshot %.0f bytes/entry"},
	{result.PerSecond, "%.0f/s"}, {result.P99, "p99 %.0f µs"}, {result.CPU, "CPU %.1f µs"}, {StoreCPU, "of it the store's %.1f µs"},
	{LineBytes, "in %.0f bytes"}, {DiskBytes, "disk %.0f bytes"}, {TableBytes, "of it rows %.0f bytes"}, {WALBytes, "WAL %.0f bytes"}, {TileBytes, "bundle %.0f bytes"},
	{Unanswered, "%.0f not answered"}, {Repeated, "%.0f sent again"}, {result.Duration, "%.0f ms"},
}

// Line is a row with its medians.
func Line(row result.Row) string {
	var parts []string
	for _, s := range shown {
		if v, ok := row.Median(s.metric); ok && (v != 0 || s.metric != Repeated && s.metric != Unanswered) {
			parts = append(parts, fmt.Sprintf(s.format, v))
		}
	}
	return fmt.Sprintf("%-46s %s", row.Key(), strings.Join(parts, "  "))
}

// WritePlan writes the needs as a table of Markdown.
func WritePlan(w io.Writer, needs []Need) {
	fmt.Fprint(w, "| needed | | from |\n| --- | --- | --- |\n")
	for _, n := range needs {
		fmt.Fprintf(w, "| %s | %s | %s |\n", n.Name, strings.TrimSpace(amount(n.Value)+" "+n.Unit), n.How)
	}
}

func amount(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
