package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/bench/load"
)

// record is a run's figures.
type record struct {
	started time.Time
	rates   capacity // that were held
	lines   []line
	*journal
	told  int           // failures of disturbances that were printed
	lost  float64       // decisions
	reach time.Duration // the longest from a revocation to the first refusal
}

// hold keeps the rates up while everything else goes on.
func (w *world) hold(ctx context.Context, o options, rates capacity) (*record, error) {
	all := w.disturbances(o)
	r := &record{started: time.Now(), rates: rates, journal: newJournal(all)}
	disturbed, calm := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { disturb(disturbed, r.journal, all) })
	err := w.stretches(ctx, o, r)
	calm()
	beside.Wait()
	if err != nil {
		return nil, err
	}
	if err := w.shipped(ctx); err != nil {
		return nil, err
	}
	r.reach = w.reach
	r.lost, err = w.lost(ctx)
	return r, err
}

func (w *world) disturbances(o options) []disturbance {
	return []disturbance{
		{"signing key rotated", o.rotate, w.rotateKey},
		{"secret rotated", o.disturb, w.rotateSecret(o.overlap)},
		{"token revoked", o.disturb / 4, w.revokeToken},
		{"bystander suspended", o.disturb, w.suspend()},
		{"reloaded", o.disturb, w.reload()},
		{"garbage collected", o.disturb, w.collect},
	}
}

// stretches are the lines of the run, one after the other.
func (w *world) stretches(ctx context.Context, o options, r *record) error {
	for time.Since(r.started) < o.duration {
		l, err := w.stretch(ctx, o.every-settle, r)
		if err != nil {
			return err
		}
		l.at = time.Since(r.started)
		r.lines = append(r.lines, l)
		fmt.Println(l)
		r.explain(l)
	}
	return nil
}

// stretch loads both programs, lets them come to rest, and looks at them. The
// calls get new tokens meanwhile; those before are good for longer.
func (w *world) stretch(ctx context.Context, duration time.Duration, r *record) (line, error) {
	var beside sync.WaitGroup
	beside.Go(func() {
		began := time.Now()
		if err := w.renew(ctx); err != nil && ctx.Err() == nil {
			r.add("tokens renewed", began, err)
		}
	})
	tokens, calls := w.steady(ctx, r.rates, duration)
	beside.Wait()
	if err := pause(ctx, settle); err != nil {
		return line{}, errors.New("interrupted")
	}
	l, err := w.look(ctx)
	l.tokens, l.calls = tokens, calls
	return l, err
}

// explain says what failed, and what was going on.
func (r *record) explain(l line) {
	beside, failed := r.read()
	if l.tokens.Errors+l.calls.Errors+l.tokens.Missed+l.calls.Missed == 0 && failed == r.told {
		return
	}
	r.told = failed
	for _, of := range []load.Result{l.tokens, l.calls} {
		if of.Errors+of.Missed > 0 {
			fmt.Printf("          %s: %d errors, %d not sent in time %s\n", of.Name, of.Errors, of.Missed, of.FirstError)
		}
	}
	fmt.Printf("          beside: %s\n", beside)
}
