package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	manyTokens = 10_000 // as many as the sidecar remembers
	minters    = 8
)

// cold measures requests each of which has a token that the sidecar has not seen.
// Then it knows manyTokens.
func (b *bench) cold(ctx context.Context, r *report) error {
	began := time.Now()
	tokens, err := b.mint(ctx, manyTokens)
	if err != nil {
		return err
	}
	fmt.Printf("sidecar  %d tokens in %s\n", len(tokens), time.Since(began).Round(time.Millisecond))
	for _, connections := range []int{1, 64} {
		var samples []sample
		for range b.rounds {
			if err := b.restart(ctx); err != nil {
				return err
			}
			s, err := b.coldOnce(ctx, tokens, connections)
			if err != nil {
				return err
			}
			samples = append(samples, s)
		}
		r.add(row{way: "sidecar, each token new", connections: connections, samples: samples, direct: r.samples("direct", connections), bare: r.samples("bare proxy", connections)})
	}
	_, sidecar := b.PIDs()
	r.manyTokens, err = memory(sidecar, "VmRSS")
	return err
}

// mint gets tokens for one agent.
func (b *bench) mint(ctx context.Context, n int) ([]string, error) {
	config := b.Config(b.reader.Credential, b.Resource())
	tokens, errs := make([]string, n), make([]error, minters)
	var workers sync.WaitGroup
	for w := range minters {
		workers.Go(func() {
			for i := w; i < n && errs[w] == nil; i += minters {
				token, err := config.Token(ctx)
				if errs[w] = err; err == nil {
					tokens[i] = token.AccessToken
				}
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// coldOnce sends each token once.
func (b *bench) coldOnce(ctx context.Context, tokens []string, connections int) (sample, error) {
	each := len(tokens) / connections
	ways, err := b.ways(ctx)
	if err != nil {
		return sample{}, err
	}
	w := ways[2]
	w.scenario.Limit = each
	w.scenario.Fill = func(request *fasthttp.Request, connection, n int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", "Bearer "+tokens[connection*each+n])
	}
	return b.measure(ctx, w, connections)
}
