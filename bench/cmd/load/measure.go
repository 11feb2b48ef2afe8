package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// measure sends one request to see that it works, warms up, and measures.
func (s *settings) measure(ctx context.Context, scenario load.Scenario, stdout io.Writer) error {
	if err := s.first(&scenario); err != nil {
		return err
	}
	if s.warmUp > 0 {
		s.round(ctx, scenario, s.warmUp)
	}
	f := &result.File{
		Schema: result.Schema, Started: time.Now().UTC(), Machine: result.Machine{OS: runtime.GOOS, CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()},
		Settings: result.Settings{Rounds: s.rounds, RoundSeconds: s.duration.Seconds()},
	}
	row := result.Row{Scenario: "load-" + s.name, Subject: scenario.Addr, Params: map[string]float64{"connections": float64(s.connections)}}
	if s.rate > 0 {
		row.Params["rate"] = s.rate
	}
	var latency *hdrhistogram.Histogram
	var requests, wrong int64
	firstError := ""
	for range s.rounds {
		measured := s.round(ctx, scenario, s.duration)
		if measured.Requests+measured.Missed == 0 {
			break
		}
		row.Rounds = append(row.Rounds, measured.Sample())
		requests, wrong = requests+measured.Requests+measured.Missed, wrong+measured.Errors+measured.Missed
		if firstError == "" {
			firstError = measured.FirstError
		}
		if latency == nil {
			latency = measured.Latency
		} else {
			latency.Merge(measured.Latency)
		}
		if !s.json {
			fmt.Fprintln(stdout, measured)
		}
		if ctx.Err() != nil {
			break // what there is, is shown
		}
	}
	var err error
	if row.Histogram, err = load.Encode(latency); err != nil {
		return err
	}
	f.Rows, f.Seconds = []result.Row{row}, time.Since(f.Started).Seconds()
	if s.json {
		if err := f.Write(stdout); err != nil {
			return err
		}
	}
	return s.judge(ctx, requests, wrong, firstError)
}

func (s *settings) round(ctx context.Context, scenario load.Scenario, duration time.Duration) load.Result {
	if s.rate > 0 {
		return load.RunOpen(ctx, scenario, load.Open{Rate: s.rate, InFlight: s.connections, Duration: duration})
	}
	return load.Run(ctx, scenario, s.connections, duration)
}

func (s *settings) judge(ctx context.Context, requests, wrong int64, firstError string) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted after %d requests", requests)
	case requests == 0:
		return errors.New("no request was made")
	case float64(wrong) > s.maxErrors*float64(requests):
		if firstError == "" {
			firstError = "the rate is more than the server takes at these connections"
		}
		return fmt.Errorf("%d of %d requests failed or were not sent in time: %s", wrong, requests, firstError)
	}
	return nil
}

// first makes one request, whose error is the clearest; of a key set it takes
// the ETag.
func (s *settings) first(scenario *load.Scenario) error {
	header, err := load.Once(*scenario)
	if err != nil {
		return fmt.Errorf("the first request failed: %w", err)
	}
	if !s.etag {
		return nil
	}
	known := string(header.Peek("ETag"))
	if known == "" {
		return fmt.Errorf("%s has no ETag: -etag=false measures without", s.url)
	}
	plain := scenario.Fill
	scenario.Fill = func(request *fasthttp.Request, connection, n int) {
		plain(request, connection, n)
		request.Header.Set("If-None-Match", known)
	}
	if scenario.Want == 0 {
		scenario.Want = fasthttp.StatusNotModified
	}
	return nil
}
