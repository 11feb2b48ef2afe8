package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/sentryagent/agentidp/bench/result"
)

// JSON writes the comparison as one object.
func (c Comparison) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(c); err != nil {
		return fmt.Errorf("writing the comparison: %w", err)
	}
	return nil
}

// shown are the metrics of the table, unless all are asked for.
var shown = map[result.Metric]bool{
	result.PerSecond: true, result.Duration: true, result.P50: true, result.P99: true, result.CPU: true, result.Allocs: true, result.RSS: true, result.HitRate: true,
}

// Text writes a table for people. all adds the metrics that are seldom looked
// at; JSON always has them.
func (c Comparison) Text(w io.Writer, all bool) error {
	for _, warning := range c.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	key, notes := "", map[string]bool{}
	for _, r := range c.Rows {
		if !all && !shown[r.Metric] && c.has(r.Key) {
			continue
		}
		if r.Key != key {
			key = r.Key
			fmt.Fprintf(table, "\n%s\told\t\tnew\t\tdelta\n", key)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", r.Metric, figure(r.Old.Median), around(r.Old), figure(r.New.Median), around(r.New), verdict(r))
		if r.Note != "" {
			notes[r.Note] = true
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the comparison: %w", err)
	}
	for note := range notes {
		fmt.Fprintln(w, "\nnote:", note)
	}
	only(w, "only in the old file", c.OnlyOld)
	only(w, "only in the new file", c.OnlyNew)
	if len(c.Rows) == 0 {
		fmt.Fprintln(w, "no row is in both files")
	}
	return nil
}

// has tells whether the row has a figure that is always shown.
func (c Comparison) has(key string) bool {
	for _, r := range c.Rows {
		if r.Key == key && shown[r.Metric] {
			return true
		}
	}
	return false
}

func only(w io.Writer, where string, keys []string) {
	if len(keys) > 0 {
		fmt.Fprintf(w, "\n%s:\n  %s\n", where, strings.Join(keys, "\n  "))
	}
}

// verdict is benchstat's: ~ where the rounds do not tell the programs apart.
func verdict(r Row) string {
	count := fmt.Sprintf("n=%d+%d", r.Old.N, r.New.N)
	if !r.Significant || r.Delta == nil {
		return fmt.Sprintf("~ (p=%.3f %s)", r.P, count)
	}
	return fmt.Sprintf("%+.1f%% (p=%.3f %s)", *r.Delta*100, r.P, count)
}

// around is how far the rounds lie from their median at most.
func around(s Sample) string {
	if s.Median == 0 || s.N < 2 {
		return ""
	}
	return fmt.Sprintf("±%.0f%%", 100*math.Max(s.High-s.Median, s.Median-s.Low)/math.Abs(s.Median))
}

func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e10:
		return fmt.Sprintf("%.3gG", v/1e9)
	case a >= 1e7:
		return fmt.Sprintf("%.4gM", v/1e6)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
