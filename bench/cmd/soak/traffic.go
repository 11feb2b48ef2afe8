package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
)

// How many requests there are at once, at most. Tokens are more than the IdP lets
// wait for a hash, so that a rotated secret must not cost one hash a request.
// Calls are few, for the sidecar keeps as many connections to the API for a while.
const (
	tokensInFlight = 128
	callsInFlight  = 32
)

const (
	busy  = 8 // connections of each kind that find the capacity
	parts = 3 // of the calibration; the median counts
)

// capacity is what both programs do at the same time, requests a second.
type capacity struct{ tokens, calls float64 }

func (w *world) issuance() load.Scenario {
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {w.Resource()}}.Encode()
	return load.Scenario{Name: "tokens", Addr: w.IdP, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI("/api/v1/token")
		request.Header.SetContentType("application/x-www-form-urlencoded")
		request.Header.Set("Authorization", w.login.Load().basic)
		request.SetBodyString(form)
	}}
}

func (w *world) notes() load.Scenario {
	return load.Scenario{Name: "calls", Addr: w.Sidecar, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, n int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", w.tokens.Load()[n%tokensInUse])
	}}
}

// calibrate finds the capacity: the median of three slices, after one that is not counted.
func (w *world) calibrate(ctx context.Context, duration time.Duration) (capacity, error) {
	slice := duration / (parts + 1)
	var tokens, calls []float64
	for i := range parts + 1 {
		t, c := both(func(s load.Scenario) load.Result { return load.Run(ctx, s, busy, slice) }, w.issuance(), w.notes())
		if err := ctx.Err(); err != nil {
			return capacity{}, err
		}
		if t.Errors+c.Errors > 0 {
			return capacity{}, fmt.Errorf("%d errors while the capacity was measured: %s%s", t.Errors+c.Errors, t.FirstError, c.FirstError)
		}
		if i > 0 {
			tokens, calls = append(tokens, t.Rate()), append(calls, c.Rate())
		}
	}
	slices.Sort(tokens)
	slices.Sort(calls)
	found := capacity{tokens: tokens[len(tokens)/2], calls: calls[len(calls)/2]}
	if found.tokens < 1 || found.calls < 1 {
		return found, fmt.Errorf("%.1f tokens and %.1f calls a second are no load", found.tokens, found.calls)
	}
	return found, nil
}

// steady sends both kinds at their rates for so long.
func (w *world) steady(ctx context.Context, rates capacity, duration time.Duration) (tokens, calls load.Result) {
	issuance, notes := w.issuance(), w.notes()
	return both(func(s load.Scenario) load.Result {
		how := load.Open{Rate: rates.tokens, InFlight: tokensInFlight, Duration: duration}
		if s.Name == notes.Name {
			how.Rate, how.InFlight = rates.calls, callsInFlight
		}
		return load.RunOpen(ctx, s, how)
	}, issuance, notes)
}

func both(run func(load.Scenario) load.Result, a, b load.Scenario) (ofA, ofB load.Result) {
	var done sync.WaitGroup
	done.Go(func() { ofA = run(a) })
	done.Go(func() { ofB = run(b) })
	done.Wait()
	return ofA, ofB
}
