package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is one line of the table: a way at a number of connections. direct and
// bare are the samples of the same rounds.
type row struct {
	way                   string
	connections           int
	samples, direct, bare []sample
}

// crowded is the memory of a process without and with many connections, in bytes.
type crowded struct {
	way           string
	connections   int
	before, after int64
}

// report is what the scenario sidecar found.
type report struct {
	machine    string
	rounds     int
	slice      time.Duration
	rows       []row
	manyTokens int64 // bytes of the sidecar that knows manyTokens tokens
	crowds     []crowded
	revoked    []time.Duration // sorted
}

func (r *report) add(added row) { r.rows = append(r.rows, added) }

// samples of a way that was measured before.
func (r *report) samples(way string, connections int) []sample {
	i := slices.IndexFunc(r.rows, func(of row) bool { return of.way == way && of.connections == connections })
	if i < 0 {
		return nil
	}
	return r.rows[i].samples
}

// ratio is the median of what the rounds' ratios were.
func ratio(of, to []sample, value func(sample) float64) string {
	if len(to) == 0 {
		return ""
	}
	ratios := make([]float64, min(len(of), len(to)))
	for i := range ratios {
		ratios[i] = value(of[i]) / value(to[i])
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func middle(of []sample, value func(sample) float64) float64 {
	values := make([]float64, len(of))
	for i := range of {
		values[i] = value(of[i])
	}
	return median(values)
}

func rate(s sample) float64    { return s.rate }
func p50(s sample) float64     { return micro(s.p50) }
func p99(s sample) float64     { return micro(s.p99) }
func cpu(s sample) float64     { return micro(s.cpu) }
func shipped(s sample) float64 { return micro(s.shipped) }
func rss(s sample) float64     { return mebibytes(s.rss) }

func micro(d time.Duration) float64   { return float64(d) / float64(time.Microsecond) }
func mebibytes(bytes int64) float64   { return float64(bytes) / (1 << 20) }
func median(values []float64) float64 { s := slices.Sorted(slices.Values(values)); return s[len(s)/2] }

// markdown is the report as tables.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s. Medians of %d interleaved rounds of %s; ratios are medians of the rounds' ratios. One core for the proxy, the other for load, upstream and IdP.\n\n",
		time.Now().UTC().Format(time.DateOnly), r.machine, r.rounds, r.slice)
	b.WriteString("| connections | way | requests/s | × direct | × bare | p50 µs | p99 µs | p99 − bare's | CPU µs a request | × bare | with shipping | RSS MiB |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, of := range r.rows {
		added := ""
		if len(of.bare) > 0 {
			added = fmt.Sprintf("%+.0f", middle(of.samples, p99)-middle(of.bare, p99))
		}
		fmt.Fprintf(&b, "| %d | %s | %.0f | %s | %s | %.0f | %.0f | %s | %.1f | %s | %.1f | %.0f |\n", of.connections, of.way, middle(of.samples, rate),
			ratio(of.samples, of.direct, rate), ratio(of.samples, of.bare, rate), middle(of.samples, p50), middle(of.samples, p99), added,
			middle(of.samples, cpu), ratio(of.samples, of.bare, cpu), middle(of.samples, shipped), middle(of.samples, rss))
	}
	b.WriteString("\n| | connections | RSS MiB | with them | KiB a connection |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range r.crowds {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %.1f |\n", c.way, c.connections, mebibytes(c.before), mebibytes(c.after), float64(c.after-c.before)/1024/float64(c.connections))
	}
	if len(r.revoked) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\nSidecar after %d tokens at 64 connections: %.0f MiB. From a revocation's 200 to the first refusal of the cached token: %s of %d.\n",
		manyTokens, mebibytes(r.manyTokens), spread(r.revoked), len(r.revoked))
	return b.String()
}

var (
	reportBegin = []byte("<!-- bench -->\n")
	reportEnd   = []byte("<!-- /bench -->\n")
)

// save puts the tables into the file, between its marks if it has them.
func (r *report) save(path string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	before, rest, found := bytes.Cut(old, reportBegin)
	_, after, ended := bytes.Cut(rest, reportEnd)
	if !found || !ended {
		before, after = []byte("# What the sidecar costs\n\n`bench -only sidecar -out FILE` writes what stands between the marks.\n\n"), nil
	}
	text := slices.Concat(before, reportBegin, []byte(r.markdown()), reportEnd, after)
	return os.WriteFile(path, text, 0o644)
}

// machine is the processor and its number of cores.
func machine() string {
	name := runtime.GOARCH
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s", runtime.NumCPU(), name, runtime.Version())
}
