// Package result is what a run of the benchmark leaves behind: the JSON file
// under bench/results, which the report draws and `load compare` compares.
package result

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Schema is the version of the file's form. A reader refuses any other.
const Schema = 1

// File is one run.
type File struct {
	Schema   int       `json:"schema"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Commit   string    `json:"commit,omitempty"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
	Rows     []Row     `json:"rows"`
	Targets  []Target  `json:"targets,omitempty"`
}

// Machine is where the run was made: figures of two machines are not compared
// without a warning.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Memory uint64 `json:"memoryBytes"`
}

// Settings are what the whole run was made with.
type Settings struct {
	Store        string  `json:"store"`  // sqlite or postgres
	Signer       string  `json:"signer"` // as the IdP's start line names it
	Rounds       int     `json:"rounds"`
	RoundSeconds float64 `json:"roundSeconds"`
	ServerCores  []int   `json:"serverCores,omitempty"`
	LoadCores    []int   `json:"loadCores,omitempty"`
}

// Row is one subject in one scenario with one set of parameters. Rounds of
// rows that belong together were measured in turn, so that the i-th rounds of
// two rows may be divided by each other.
type Row struct {
	Scenario string             `json:"scenario"`         // issuance, sidecar-warm, audit-list, …
	Subject  string             `json:"subject"`          // sidecar, bare, direct, haproxy, idp, …
	Params   map[string]float64 `json:"params,omitempty"` // connections, rate, agents, events, feeds
	Rounds   []Sample           `json:"rounds"`
	// Histogram is the latency of all rounds, in µs: HdrHistogram's V2
	// compressed form in base64, empty where nothing was timed singly.
	Histogram string `json:"histogram,omitempty"`
	// Invalid says why the row must not be quoted, such as events that the
	// IdP should have and has not.
	Invalid string `json:"invalid,omitempty"`
}

// Sample is one round: the metric's name ends in its unit.
type Sample map[Metric]float64

// Metric names a figure.
type Metric string

// The metrics that several scenarios share. A scenario may have more.
const (
	PerSecond  Metric = "per_second"
	Requests   Metric = "requests"
	Errors     Metric = "errors"
	P50        Metric = "p50_us"
	P90        Metric = "p90_us"
	P99        Metric = "p99_us"
	P999       Metric = "p999_us"
	Max        Metric = "max_us"
	CPU        Metric = "cpu_us"         // of the subject, per request
	CPUShipped Metric = "cpu_shipped_us" // the same until the IdP had every decision
	Allocs     Metric = "allocs"         // of the subject, per request
	RSS        Metric = "rss_bytes"
	Duration   Metric = "duration_ms"
	Unsent     Metric = "unsent"      // requests of an open loop that were not sent in time
	TurnedAway Metric = "turned_away" // requests that a busy server refused, as it may
	TargetRate Metric = "target_rate" // of an open loop, requests per second
	HitRate    Metric = "hit_rate"    // of a cache, 0 to 1
	Foreign    Metric = "foreign"     // share of the measured cores that other programs had, 0 to 1
)

// Verdict is what became of a target.
type Verdict string

// Invalid is not a miss: the run did not do what it should have measured.
const (
	OK      Verdict = "ok"
	Missed  Verdict = "missed"
	Invalid Verdict = "invalid"
)

// Target is a promise held against the run: `P4 warm/bare 0.93 (>= 0.90) ok`.
type Target struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Unit    string    `json:"unit,omitempty"` // empty: a ratio
	Value   float64   `json:"value"`          // the median of Rounds
	Rounds  []float64 `json:"rounds,omitempty"`
	Op      string    `json:"op"` // >= or <=
	Bound   float64   `json:"bound"`
	Verdict Verdict   `json:"verdict"`
	Why     string    `json:"why,omitempty"`
}

// String is the target's line on the terminal.
func (t Target) String() string {
	unit := t.Unit
	if unit != "" {
		unit = " " + unit
	}
	line := fmt.Sprintf("%s %s %s%s (%s %s%s) %s", t.ID, t.Name, figure(t.Value), unit, t.Op, figure(t.Bound), unit, t.Verdict)
	if t.Why != "" {
		line += ": " + t.Why
	}
	return line
}

// Median of one metric over the row's rounds; false where no round has it.
func (r Row) Median(m Metric) (float64, bool) {
	var values []float64
	for _, sample := range r.Rounds {
		if v, ok := sample[m]; ok {
			values = append(values, v)
		}
	}
	return Median(values)
}

// Key names the row within its file and across files.
func (r Row) Key() string {
	key := r.Scenario + "/" + r.Subject
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		key += fmt.Sprintf("/%s=%g", name, r.Params[name])
	}
	return key
}

// Median is false for no values.
func Median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle], true
	}
	return (sorted[middle-1] + sorted[middle]) / 2, true
}

// Read refuses what another version wrote.
func Read(r io.Reader) (*File, error) {
	var f File
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("reading a result: %w", err)
	}
	if f.Schema != Schema {
		return nil, fmt.Errorf("reading a result: schema %d, this program knows %d", f.Schema, Schema)
	}
	return &f, nil
}

// Write writes the file, indented, so that a change of it can be read.
func (f *File) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(f); err != nil {
		return fmt.Errorf("writing a result: %w", err)
	}
	return nil
}

func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
