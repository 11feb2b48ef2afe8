package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/result"
)

// markdown is what the sidecar costs, as tables.
func markdown(f *result.File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %d cores of %s, %s. Medians of %d interleaved rounds of %gs; ratios are medians of the rounds' ratios. Proxies on cores %v; load, API and IdP on %v.\n\n",
		f.Started.UTC().Format(time.DateOnly), f.Machine.Cores, f.Machine.CPU, f.Machine.Go, f.Settings.Rounds, f.Settings.RoundSeconds, f.Settings.ServerCores, f.Settings.LoadCores)
	b.WriteString("| scenario | connections | way | requests/s | × bare | p50 µs | p99 µs | p99 − bare's | CPU µs a request | × bare | with shipping | RSS MiB |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range f.Rows {
		connections, has := row.Params["connections"]
		if !strings.HasPrefix(row.Scenario, "sidecar-") || !has {
			continue
		}
		bare := f.Row(result.Row{Scenario: row.Scenario, Subject: "bare", Params: row.Params}.Key())
		fmt.Fprintf(&b, "| %s | %g | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.TrimPrefix(row.Scenario, "sidecar-"), connections, row.Subject,
			median(row, result.PerSecond, 0, 1), ratio(row, bare, result.PerSecond), median(row, result.P50, 0, 1), median(row, result.P99, 0, 1), added(row, bare),
			median(row, result.CPU, 1, 1), ratio(row, bare, result.CPU), median(row, result.CPUShipped, 1, 1), median(row, result.RSS, 0, 1.0/(1<<20)))
	}
	b.WriteString("\n| | connections | RSS MiB with them | KiB a connection |\n| --- | --- | --- | --- |\n")
	for _, row := range f.Rows {
		if row.Scenario == "idle" {
			fmt.Fprintf(&b, "| %s | %g | %s | %s |\n", row.Subject, row.Params["connections"], median(row, result.RSS, 0, 1.0/(1<<20)), median(row, "connection_bytes", 1, 1.0/(1<<10)))
		}
	}
	if row := f.Row("revocation-token/sidecar"); row != nil {
		fmt.Fprintf(&b, "\nFrom a revocation's 200 to the first refusal of the cached token: p50 %s µs, p99 %s µs.\n", median(*row, result.P50, 0, 1), median(*row, result.P99, 0, 1))
	}
	return b.String()
}

func median(row result.Row, m result.Metric, digits int, scale float64) string {
	v, ok := row.Median(m)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v*scale)
}

func ratio(row result.Row, to *result.Row, m result.Metric) string {
	if to == nil {
		return ""
	}
	v, ok := result.Median(result.Ratios(row, *to, m))
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

func added(row result.Row, bare *result.Row) string {
	if bare == nil {
		return ""
	}
	ours, ok := row.Median(result.P99)
	theirs, also := bare.Median(result.P99)
	if !ok || !also {
		return ""
	}
	return fmt.Sprintf("%+.0f", ours-theirs)
}

var (
	markBegin = []byte("<!-- bench -->\n")
	markEnd   = []byte("<!-- /bench -->\n")
)

// saveMarkdown puts the tables into the file, between its marks if it has them.
func saveMarkdown(path string, f *result.File) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	before, rest, found := bytes.Cut(old, markBegin)
	_, after, ended := bytes.Cut(rest, markEnd)
	if !found || !ended {
		before, after = []byte("# What the sidecar costs\n\n`bench -markdown FILE` writes what stands between the marks.\n\n"), nil
	}
	return os.WriteFile(path, slices.Concat(before, markBegin, []byte(markdown(f)), markEnd, after), 0o644)
}
