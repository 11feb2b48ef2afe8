// Package load sends HTTP requests in a closed loop, one in flight per
// connection, and measures them.
package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// Scenario is one kind of request against one server.
type Scenario struct {
	Name string
	Addr string // host:port
	// Fill writes request n of a connection; the request is reused and was reset.
	Fill func(request *fasthttp.Request, connection, n int)
	// Want is the status that counts as success.
	Want int
	// Limit is how many requests a connection sends at most; 0: as many as it can.
	Limit int
}

// Result is what one run measured.
type Result struct {
	Name        string
	Connections int
	Requests    int64
	Errors      int64 // transport failures and other statuses
	FirstError  string
	Elapsed     time.Duration
	Latency     *hdrhistogram.Histogram // microseconds, of successes
}

// Rate is successes per second.
func (r Result) Rate() float64 { return float64(r.Requests-r.Errors) / r.Elapsed.Seconds() }

// Quantile is the latency that q percent of successes stayed within.
func (r Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(q)) * time.Microsecond
}

// String is one line.
func (r Result) String() string {
	line := fmt.Sprintf("%-22s %3d conn %9.0f/s  p50 %8s  p99 %8s  p99.9 %8s", r.Name, r.Connections, r.Rate(), r.Quantile(50), r.Quantile(99), r.Quantile(99.9))
	if r.Errors > 0 {
		line += fmt.Sprintf("  %d errors of %d (first: %s)", r.Errors, r.Requests, r.FirstError)
	}
	return line
}

// Run keeps the connections busy for the duration.
func Run(ctx context.Context, s Scenario, connections int, duration time.Duration) Result {
	client := &fasthttp.HostClient{Addr: s.Addr, MaxConns: connections, NoDefaultUserAgentHeader: true, ReadTimeout: 30 * time.Second, MaxIdemponentCallAttempts: 1}
	defer client.CloseIdleConnections()
	results := make([]Result, connections)
	began := time.Now()
	until := began.Add(duration)
	var workers sync.WaitGroup
	for i := range connections {
		workers.Go(func() { results[i] = loop(ctx, client, s, i, until) })
	}
	workers.Wait()
	total := Result{Name: s.Name, Connections: connections, Elapsed: time.Since(began), Latency: histogram()}
	for _, r := range results {
		total.Requests += r.Requests
		total.Errors += r.Errors
		if total.FirstError == "" {
			total.FirstError = r.FirstError
		}
		total.Latency.Merge(r.Latency)
	}
	return total
}

func histogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
}

func loop(ctx context.Context, client *fasthttp.HostClient, s Scenario, connection int, until time.Time) Result {
	r := Result{Latency: histogram()}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	for n := 0; (s.Limit == 0 || n < s.Limit) && ctx.Err() == nil && time.Now().Before(until); n++ {
		request.Reset()
		request.Header.SetHost(s.Addr)
		request.URI().SetScheme("http")
		s.Fill(request, connection, n)
		began := time.Now()
		err := client.Do(request, response)
		took := time.Since(began)
		r.Requests++
		if err == nil && response.StatusCode() != s.Want {
			err = fmt.Errorf("status %d: %.200s", response.StatusCode(), response.Body())
		}
		if err != nil {
			if r.Errors++; r.FirstError == "" {
				r.FirstError = err.Error()
			}
			continue
		}
		// The range is a minute; a longer wait has failed by the read timeout.
		if err := r.Latency.RecordValue(max(1, took.Microseconds())); err != nil {
			r.FirstError = err.Error()
		}
	}
	return r
}
