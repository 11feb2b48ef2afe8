// Package compare holds two runs against each other, as benchstat does: medians
// of the rounds, their spread, and whether the difference is more than noise.
package compare

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"

	"github.com/sentryagent/agentidp/bench/result"
)

// Alpha is the chance, at most, that rounds of equal programs differ so much
// and are called different.
const Alpha = 0.05

// Comparison is what two files have to say to each other.
type Comparison struct {
	Warnings []string `json:"warnings,omitempty"` // why the figures may not be comparable
	Rows     []Row    `json:"rows"`
	OnlyOld  []string `json:"onlyOld,omitempty"` // keys
	OnlyNew  []string `json:"onlyNew,omitempty"`
}

// Row is one metric of one row that both files have.
type Row struct {
	Key    string        `json:"key"`
	Metric result.Metric `json:"metric"`
	Old    Sample        `json:"old"`
	New    Sample        `json:"new"`
	// Delta is New's median over Old's, less one; nil where the old one is 0.
	Delta *float64 `json:"delta"`
	// P is the Mann-Whitney U test's: the chance that equal programs differ so.
	P           float64 `json:"p"`
	Significant bool    `json:"significant"`
	// Note says what keeps the test from deciding, such as too few rounds.
	Note string `json:"note,omitempty"`
}

// Sample is a metric's rounds.
type Sample struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	N      int     `json:"n"`
}

// unlike are metrics that say how a run was made, not how fast anything is.
var unlike = []result.Metric{result.Requests, result.TargetRate, result.Foreign}

// Files joins the rows of both by their keys. A row that is invalid in either
// file is left out, with a warning. only keeps scenarios whose names begin so;
// "" keeps all.
func Files(old, fresh *result.File, only string) Comparison {
	c := Comparison{Warnings: differences(old, fresh), Rows: []Row{}}
	after := map[string]result.Row{}
	for _, r := range fresh.Rows {
		if strings.HasPrefix(r.Scenario, only) {
			after[r.Key()] = r
		}
	}
	before := map[string]bool{}
	for _, r := range old.Rows {
		if !strings.HasPrefix(r.Scenario, only) {
			continue
		}
		key := r.Key()
		before[key] = true
		other, both := after[key]
		switch {
		case !both:
			c.OnlyOld = append(c.OnlyOld, key)
		case r.Invalid != "" || other.Invalid != "":
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s is not compared, it is invalid: %s", key, first(r.Invalid, other.Invalid)))
		default:
			c.Rows = append(c.Rows, compare(key, r, other)...)
		}
	}
	for _, r := range fresh.Rows {
		if key := r.Key(); strings.HasPrefix(r.Scenario, only) && !before[key] {
			c.OnlyNew = append(c.OnlyNew, key)
		}
	}
	return c
}

func first(texts ...string) string {
	i := slices.IndexFunc(texts, func(t string) bool { return t != "" })
	return texts[i]
}

func compare(key string, old, fresh result.Row) []Row {
	var rows []Row
	for _, m := range metrics(old) {
		before, after := values(old, m), values(fresh, m)
		if len(after) == 0 || slices.Contains(unlike, m) {
			continue
		}
		rows = append(rows, judge(Row{Key: key, Metric: m, Old: sample(before), New: sample(after)}, before, after))
	}
	return rows
}

func judge(r Row, before, after []float64) Row {
	if r.Old.Median != 0 {
		delta := r.New.Median/r.Old.Median - 1
		r.Delta = &delta
	}
	test := benchmath.AssumeNothing.Compare(
		benchmath.NewSample(before, &benchmath.Thresholds{CompareAlpha: Alpha}),
		benchmath.NewSample(after, &benchmath.Thresholds{CompareAlpha: Alpha}))
	r.P, r.Significant = test.P, test.P <= Alpha && r.Old.Median != r.New.Median
	if len(test.Warnings) > 0 {
		r.Note = test.Warnings[0].Error()
	}
	return r
}

func metrics(r result.Row) []result.Metric {
	var all []result.Metric
	for _, sample := range r.Rounds {
		for m := range sample {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	slices.Sort(all)
	return all
}

func values(r result.Row, m result.Metric) []float64 {
	var all []float64
	for _, sample := range r.Rounds {
		if v, ok := sample[m]; ok {
			all = append(all, v)
		}
	}
	return all
}

func sample(values []float64) Sample {
	middle, _ := result.Median(values)
	return Sample{Median: middle, Low: slices.Min(values), High: slices.Max(values), N: len(values)}
}

// differences are what two runs must have in common for their figures to be
// compared, and have not.
func differences(old, fresh *result.File) []string {
	var all []string
	a, b := old.Machine, fresh.Machine
	x, y := old.Settings, fresh.Settings
	for _, d := range []struct {
		what       string
		old, fresh any
	}{
		{"CPU", a.CPU, b.CPU},
		{"number of cores", a.Cores, b.Cores},
		{"operating system", a.OS, b.OS},
		{"kernel", a.Kernel, b.Kernel},
		{"Go version", a.Go, b.Go},
		{"store", x.Store, y.Store},
		{"signer", x.Signer, y.Signer},
		{"length of a round, seconds", x.RoundSeconds, y.RoundSeconds},
		{"server cores", fmt.Sprint(x.ServerCores), fmt.Sprint(y.ServerCores)},
		{"load cores", fmt.Sprint(x.LoadCores), fmt.Sprint(y.LoadCores)},
	} {
		if d.old != d.fresh {
			all = append(all, fmt.Sprintf("the %s differs: %v, then %v", d.what, d.old, d.fresh))
		}
	}
	return all
}
