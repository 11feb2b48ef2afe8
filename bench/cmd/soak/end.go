package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// The scenario's own metrics.
const (
	fds        result.Metric = "fds"
	goroutines result.Metric = "goroutines"
	spool      result.Metric = "spool_bytes"
	at         result.Metric = "at_s" // from the begin
)

// end prints the verdict and writes the file. A gate that was missed is an error.
func (r *record) end(ctx context.Context, o options) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	t := r.totals()
	gates := r.judge(t)
	for _, name := range slices.Sorted(maps.Keys(r.done)) {
		fmt.Printf("%4d times %s\n", r.done[name], name)
	}
	for _, g := range gates {
		fmt.Println(g)
	}
	fmt.Println(r.summary(t))
	if err := r.write(o, t, gates); err != nil {
		return err
	}
	var missed []error
	for _, g := range gates {
		if g.Verdict != result.OK {
			missed = append(missed, errors.New(g.String()))
		}
	}
	if r.failure != "" {
		missed = append(missed, fmt.Errorf("the first disturbance that failed: %s", r.failure))
	}
	return errors.Join(missed...)
}

func (r *record) write(o options, t totals, gates []result.Target) error {
	if o.json == "" {
		return nil
	}
	f, err := r.file(o, t, gates)
	if err != nil {
		return err
	}
	out, err := os.Create(o.json)
	if err != nil {
		return err
	}
	return errors.Join(f.Write(out), out.Close())
}

// file has a row for each kind of request and each program, a round for each line.
func (r *record) file(o options, t totals, gates []result.Target) (*result.File, error) {
	rows := []result.Row{
		r.requests("tokens", r.rates.tokens, func(l line) load.Result { return l.tokens }),
		r.requests("calls", r.rates.calls, func(l line) load.Result { return l.calls }),
		r.program("idp", 0), r.program("sidecar", 1),
	}
	for i, h := range []*hdrhistogram.Histogram{t.tokens, t.calls} {
		var err error
		if rows[i].Histogram, err = load.Encode(h); err != nil {
			return nil, err
		}
	}
	return &result.File{
		Schema: result.Schema, Started: r.started.UTC().Truncate(time.Second), Seconds: r.lines[len(r.lines)-1].at.Seconds(),
		Machine:  result.Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), OS: runtime.GOOS, Go: runtime.Version()},
		Settings: result.Settings{Store: "sqlite", Signer: "go", Rounds: len(r.lines), RoundSeconds: o.every.Seconds()},
		Rows:     rows, Targets: gates,
	}, nil
}

func (r *record) requests(subject string, rate float64, of func(line) load.Result) result.Row {
	row := result.Row{Scenario: "soak", Subject: subject, Params: map[string]float64{"rate": rate}}
	for _, l := range r.lines {
		sample := of(l).Sample()
		sample[at] = l.at.Seconds()
		row.Rounds = append(row.Rounds, sample)
	}
	return row
}

func (r *record) program(subject string, i int) result.Row {
	row := result.Row{Scenario: "soak", Subject: subject}
	for _, l := range r.lines {
		p := l.programs[i]
		sample := result.Sample{at: l.at.Seconds(), result.RSS: float64(p.RSS), fds: float64(p.FDs), goroutines: float64(p.Goroutines)}
		if subject == "sidecar" {
			sample[spool] = l.spool
		}
		row.Rounds = append(row.Rounds, sample)
	}
	return row
}
