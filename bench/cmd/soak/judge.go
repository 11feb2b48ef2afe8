package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// The gates. A growth is from the median of the second third of the lines to
// that of the last: what fills up at first is full by then, and a single line
// decides nothing.
const (
	rounds         = 9     // lines at least, three a third
	maxUnsent      = 0.001 // of the requests whose time came
	maxTokenP99    = 100 * time.Millisecond
	maxCallP99     = 200 * time.Millisecond
	maxRSSGrowth   = 32 << 20 // bytes
	maxCountGrowth = 8        // file descriptors, goroutines: one that leaks with every line shows in ten
)

// totals are all lines together.
type totals struct {
	requests, errors, unsent, scheduled int64
	tokens, calls                       *hdrhistogram.Histogram
}

func (r *record) totals() totals {
	t := totals{tokens: load.NewResult("").Latency, calls: load.NewResult("").Latency, errors: int64(r.failed)}
	for _, l := range r.lines {
		t.tokens.Merge(l.tokens.Latency)
		t.calls.Merge(l.calls.Latency)
		for _, of := range []load.Result{l.tokens, l.calls} {
			t.requests += of.Requests
			t.errors += of.Errors
			t.unsent += of.Missed
			t.scheduled += of.Scheduled
		}
	}
	return t
}

// judge holds the run to the gates.
func (r *record) judge(t totals) []result.Target {
	gates := []result.Target{
		gate("errors", "", float64(t.errors), 0, t.errors == 0),
		gate("requests not sent in time", "%", 100*float64(t.unsent)/float64(max(1, t.scheduled)), 100*maxUnsent, float64(t.unsent) <= maxUnsent*float64(t.scheduled)),
		latency("tokens p99", t.tokens, maxTokenP99),
		latency("calls p99", t.calls, maxCallP99),
		gate("decisions lost", "", r.lost, 0, r.lost == 0),
	}
	for i, name := range []string{"IdP", "sidecar"} {
		rss, fds, goroutines := r.growth(i)
		gates = append(gates,
			gate(name+" memory growth", "MiB", rss/(1<<20), maxRSSGrowth>>20, rss <= maxRSSGrowth),
			gate(name+" file descriptor growth", "", fds, maxCountGrowth, fds <= maxCountGrowth),
			gate(name+" goroutine growth", "", goroutines, maxCountGrowth, goroutines <= maxCountGrowth),
		)
	}
	for _, d := range r.undone() {
		missed := gate(d, "times", 0, 1, false)
		missed.Op = ">="
		gates = append(gates, missed)
	}
	return gates
}

func latency(name string, h *hdrhistogram.Histogram, most time.Duration) result.Target {
	p99 := time.Duration(h.ValueAtQuantile(99)) * time.Microsecond
	return gate(name, "ms", float64(p99)/float64(time.Millisecond), float64(most)/float64(time.Millisecond), h.TotalCount() > 0 && p99 <= most)
}

func gate(name, unit string, value, bound float64, holds bool) result.Target {
	verdict := result.Missed
	if holds {
		verdict = result.OK
	}
	return result.Target{ID: "soak", Name: name, Unit: unit, Value: value, Op: "<=", Bound: bound, Verdict: verdict}
}

// growth of program i: IdP or sidecar.
func (r *record) growth(i int) (rss, fds, goroutines float64) {
	rss, _ = r.grew(i, func(s state) float64 { return float64(s.RSS) })
	fds = min(r.grew(i, func(s state) float64 { return float64(s.FDs) }))
	goroutines = min(r.grew(i, func(s state) float64 { return float64(s.Goroutines) }))
	return rss, fds, goroutines
}

// grew is how much higher the median and the lowest of the last third are than
// those of the second. A leak raises both, a pool of connections that breathes
// only one of them.
func (r *record) grew(program int, what func(state) float64) (median, lowest float64) {
	var values []float64
	for _, l := range r.lines {
		values = append(values, what(l.programs[program]))
	}
	n := len(values)
	second, last := values[n/3:2*n/3], values[2*n/3:]
	before, _ := result.Median(second) // neither is empty: parse sees to it
	after, _ := result.Median(last)
	return after - before, slices.Min(last) - slices.Min(second)
}

// summary is the line that scripts read.
func (r *record) summary(t totals) string {
	text := fmt.Sprintf("soak requests=%d errors=%d unsent=%d lost=%.0f token_p99=%s api_p99=%s revocation_max=%s", t.requests, t.errors, t.unsent, r.lost,
		micros(t.tokens.ValueAtQuantile(99)), micros(t.calls.ValueAtQuantile(99)), r.reach.Round(time.Millisecond))
	for i, name := range []string{"idp", "sidecar"} {
		rss, fds, goroutines := r.growth(i)
		text += fmt.Sprintf(" %s_rss_growth_kib=%.0f %s_fd_growth=%.0f %s_goroutine_growth=%.0f", name, rss/1024, name, fds, name, goroutines)
	}
	return text
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
