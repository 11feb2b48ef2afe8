// Package growth measures what grows with an installation: latency by the
// number of agents, audit queries and proofs by the number of events, the
// revocation check by the number of entries.
//
// Each size has a stack of its own on a store that package seed has filled. The
// stacks run all the time, idle, and the rounds visit them in turn, so that the
// i-th rounds of two sizes were made under the same circumstances.
package growth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// Options say with what to measure, and how long.
type Options struct {
	// Stack makes a stack on empty data, prepared and not started, whose IdP has
	// a pepper and no limits (lab.Lab.Spare).
	Stack func(ctx context.Context, env ...string) (*stack.Stack, error)
	// On runs what starts a measured program on the cores of those; nil: anywhere.
	On func(start func() error) error

	Rounds int
	Slice  time.Duration // one visit of one scenario
	// Say tells how far it is, a line at a time; nil: nobody.
	Say func(line string)
}

func (o *Options) say(format string, args ...any) {
	if o.Say != nil {
		o.Say(fmt.Sprintf(format, args...))
	}
}

func (o *Options) on(start func() error) error {
	if o.On == nil {
		return start()
	}
	return o.On(start)
}

// site is the installation of one size.
type site struct {
	*stack.Stack
	size  int64
	admin *stack.Client
}

// get asks the API as the administrator, again while it is overloaded: what is
// asked here is not what is measured.
func (s *site) get(ctx context.Context, path string, out any) error {
	for until := time.Now().Add(busyFor); ; {
		answer, err := s.admin.Do(ctx, http.MethodGet, path, nil)
		switch {
		case err != nil:
			return err
		case answer.Status == http.StatusOK:
			return json.Unmarshal(answer.Body, out)
		case answer.Status != http.StatusServiceUnavailable || time.Now().After(until):
			return fmt.Errorf("GET %s: %d %.200s", path, answer.Status, answer.Body)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

const busyFor = 10 * time.Second

// bearer is the header of a new token for the API.
func (s *site) bearer(ctx context.Context, c stack.Credential, resources ...string) (string, error) {
	token, err := s.Config(c, resources...).Token(ctx)
	if err != nil {
		return "", err
	}
	return "Bearer " + token.AccessToken, nil
}

// open makes a site: the IdP starts once to make its store, which fill fills,
// and then runs.
func (o *Options) open(ctx context.Context, noun string, size int64, fill func(store *seed.Store, s *site) error) (s *site, err error) {
	// Whole months of the seeded past must not go while they are measured.
	made, err := o.Stack(ctx, "AGENTIDP_LIMITS_AUDIT_DAYS=0")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.Close())
		}
	}()
	s = &site{Stack: made, size: size}
	if err := errors.Join(s.StartIdP(ctx), s.StopIdP()); err != nil {
		return nil, err
	}
	store, err := seed.Open(ctx, seed.Address(s.Stack))
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := errors.Join(fill(store, s), store.Close()); err != nil {
		return nil, err
	}
	o.say("growth   %d %s seeded in %s", size, noun, time.Since(began).Round(time.Second))
	if err := o.on(func() error { return s.StartIdP(ctx) }); err != nil {
		return nil, err
	}
	credential, err := s.Administrator()
	if err != nil {
		return nil, err
	}
	s.admin, err = s.Client(ctx, credential) // renews its token
	return s, err
}

// sites opens one for each size. Whatever is open is returned with the error.
func (o *Options) sites(ctx context.Context, noun string, sizes []int64, fill func(store *seed.Store, s *site) error) (sites []*site, err error) {
	for _, size := range sizes {
		s, err := o.open(ctx, noun, size, fill)
		if err != nil {
			return sites, fmt.Errorf("growth to %d %s: %w", size, noun, err)
		}
		sites = append(sites, s)
	}
	return sites, nil
}

func closeAll(sites []*site) error {
	var errs []error
	for _, s := range sites {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// progress reports the writing of a size about every tenth of it.
func (o *Options) progress(noun string) seed.Progress {
	told := int64(0)
	return func(done, of int64) {
		if done-told >= max(of/10, 100_000) {
			told = done
			o.say("growth   %d of %d %s", done, of, noun)
		}
	}
}

// series is a row in the making.
type series struct {
	row     result.Row
	latency *hdrhistogram.Histogram
}

func newSeries(scenario, subject, noun string, size int64) *series {
	return &series{row: result.Row{Scenario: scenario, Subject: subject, Params: map[string]float64{noun: float64(size)}}}
}

// add takes in a round. What failed or was never sent makes the row invalid:
// it would have been the slowest.
func (s *series) add(r load.Result, more result.Sample) {
	sample := r.Sample()
	for metric, value := range more {
		sample[metric] = value
	}
	s.row.Rounds = append(s.row.Rounds, sample)
	if s.latency == nil {
		s.latency = r.Latency
	} else {
		s.latency.Merge(r.Latency)
	}
	switch {
	case r.Errors > 0:
		s.row.Invalid = fmt.Sprintf("%d errors of %d requests: %s", r.Errors, r.Requests, r.FirstError)
	case r.Missed > 0:
		s.row.Invalid = fmt.Sprintf("%d of %d requests were not sent in time", r.Missed, r.Scheduled)
	case r.Requests == 0:
		s.row.Invalid = "nothing was sent"
	}
}

func (s *series) done() (row result.Row, err error) {
	s.row.Histogram, err = load.Encode(s.latency)
	return s.row, err
}

func rows(all ...*series) ([]result.Row, error) {
	var done []result.Row
	for _, s := range all {
		row, err := s.done()
		if err != nil {
			return nil, err
		}
		done = append(done, row)
	}
	return done, nil
}
