package scenario

import (
	"context"
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// measured is one measurement of a subject.
type measured struct {
	sample  result.Sample
	latency *hdrhistogram.Histogram // nil: nothing was timed singly
}

// subject is a row in the making.
type subject struct {
	row     result.Row
	measure func(context.Context) (measured, error)
	latency *hdrhistogram.Histogram
}

func newSubject(scenario, name string, params map[string]float64, measure func(context.Context) (measured, error)) *subject {
	return &subject{row: result.Row{Scenario: scenario, Subject: name, Params: params, Rounds: []result.Sample{}}, measure: measure}
}

// interleave measures every subject once a round. A measurement that is not
// what it should be spoils its row; any other error ends the scenario.
func (r *Run) interleave(ctx context.Context, rounds int, subjects ...*subject) ([]result.Row, error) {
	for round := range rounds {
		for _, s := range subjects {
			m, err := s.measure(ctx)
			var spoilt invalid
			if errors.As(err, &spoilt) {
				s.row.Invalid = spoilt.why
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", s.row.Key(), err)
			}
			s.add(m)
			r.Say(s.row, round)
		}
	}
	rows := make([]result.Row, len(subjects))
	for i, s := range subjects {
		encoded, err := load.Encode(s.latency)
		if err != nil {
			return nil, err
		}
		s.row.Histogram = encoded
		rows[i] = s.row
	}
	return rows, nil
}

func (s *subject) add(m measured) {
	if m.sample == nil {
		m.sample = result.Sample{} // rounds of rows stay in step
	}
	s.row.Rounds = append(s.row.Rounds, m.sample)
	if m.latency == nil {
		return
	}
	if s.latency == nil {
		s.latency = m.latency
		return
	}
	s.latency.Merge(m.latency)
}
