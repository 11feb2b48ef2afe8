package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/result"
)

// Result is what one run measured.
type Result struct {
	Name        string
	Connections int
	Target      float64 // the open loop's rate; 0: closed loop
	Scheduled   int64   // requests whose time came; open loop only
	Requests    int64   // that were sent
	Errors      int64   // transport failures and other statuses
	TurnedAway  int64   // that a server which may do so turned away
	Missed      int64   // that were not sent, for all connections were held up; open loop only
	FirstError  string
	Elapsed     time.Duration
	Latency     *hdrhistogram.Histogram // microseconds, of successes, and what the missed had waited
}

// The longest latency that is told apart; a request has failed by its timeout before.
const longest = 2 * time.Minute

func histogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), 3)
}

func (r *Result) record(took time.Duration, err error) {
	r.Requests++
	if errors.Is(err, errTurnedAway) {
		r.TurnedAway++
		return
	}
	if err != nil {
		if r.Errors++; r.FirstError == "" {
			r.FirstError = err.Error()
		}
		return
	}
	r.observe(took)
}

func (r *Result) miss(waited time.Duration) {
	r.Missed++
	r.observe(waited)
}

func (r *Result) observe(took time.Duration) {
	_ = r.Latency.RecordValue(min(max(1, took.Microseconds()), longest.Microseconds())) // within its range
}

// sum adds the connections' results to the total.
func sum(total Result, of []Result) Result {
	total.Latency = histogram()
	for _, r := range of {
		total.Requests += r.Requests
		total.Errors += r.Errors
		total.TurnedAway += r.TurnedAway
		total.Missed += r.Missed
		if total.FirstError == "" {
			total.FirstError = r.FirstError
		}
		total.Latency.Merge(r.Latency)
	}
	return total
}

// Rate is successes per second.
func (r Result) Rate() float64 {
	return float64(r.Requests-r.Errors-r.TurnedAway) / r.Elapsed.Seconds()
}

// Quantile is the latency that q percent of successes stayed within.
func (r Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(q)) * time.Microsecond
}

// Sample is the run in the form of a result file.
func (r Result) Sample() result.Sample {
	s := result.Sample{
		result.PerSecond: r.Rate(), result.Requests: float64(r.Requests), result.Errors: float64(r.Errors),
		result.P50: r.micros(50), result.P90: r.micros(90), result.P99: r.micros(99), result.P999: r.micros(99.9),
		result.Max: float64(r.Latency.Max()),
	}
	if r.TurnedAway > 0 {
		s[result.TurnedAway] = float64(r.TurnedAway)
	}
	if r.Target > 0 {
		s[result.Unsent], s[result.TargetRate] = float64(r.Missed), r.Target
	}
	return s
}

func (r Result) micros(q float64) float64 { return float64(r.Latency.ValueAtQuantile(q)) }

// String is one line.
func (r Result) String() string {
	line := fmt.Sprintf("%-22s %3d conn %9.0f/s  p50 %8s  p99 %8s  p99.9 %8s", r.Name, r.Connections, r.Rate(), r.Quantile(50), r.Quantile(99), r.Quantile(99.9))
	if r.Target > 0 {
		line += fmt.Sprintf("  of %.0f/s", r.Target)
	}
	if r.Missed > 0 {
		line += fmt.Sprintf("  %d of %d not sent in time", r.Missed, r.Scheduled)
	}
	if r.TurnedAway > 0 {
		line += fmt.Sprintf("  %d of %d turned away", r.TurnedAway, r.Requests)
	}
	if r.Errors > 0 {
		line += fmt.Sprintf("  %d errors of %d (first: %s)", r.Errors, r.Requests, r.FirstError)
	}
	return line
}

// Encode is a histogram as a result file keeps it.
func Encode(h *hdrhistogram.Histogram) (string, error) {
	if h == nil || h.TotalCount() == 0 {
		return "", nil
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encoding a histogram: %w", err)
	}
	return string(encoded), nil // in base64 already
}

// Decode is what Encode encoded: an empty histogram for "".
func Decode(encoded string) (*hdrhistogram.Histogram, error) {
	if encoded == "" {
		return histogram(), nil
	}
	h, err := hdrhistogram.Decode([]byte(encoded))
	if err != nil {
		return nil, fmt.Errorf("decoding a histogram: %w", err)
	}
	return h, nil
}

// NewResult is empty, for what is recorded one by one.
func NewResult(name string) Result {
	return Result{Name: name, Latency: histogram(), Elapsed: time.Second}
}

// Record adds a success.
func (r *Result) Record(took time.Duration) { r.record(took, nil) }
