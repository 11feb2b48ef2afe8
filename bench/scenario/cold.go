package scenario

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

const (
	manyTokens  = 10_000 // as many as the sidecar remembers
	quickTokens = 2_000
	minters     = 8
)

// sidecarCold measures requests each of which has a token that the sidecar has
// not seen, beside HAProxy, which verifies each in any case. Then the sidecar
// knows them all.
func sidecarCold(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	minted, err := r.mint(ctx, r.tokens())
	if err != nil {
		return nil, err
	}
	r.Note("%d tokens in %s", len(minted), time.Since(began).Round(time.Millisecond))
	proxy, rows, err := r.haproxy(ctx, "sidecar-cold", token)
	if err != nil {
		return nil, err
	}
	servers := []server{r.bareProxy(), r.sidecar()}
	if proxy != nil {
		defer proxy.Close()
		servers = append(servers, server{name: string(proxy.Kind), addr: proxy.Addr, pids: proxy.PIDs})
	}
	for _, connections := range []int{1, 64} {
		var subjects []*subject
		for _, s := range servers {
			subjects = append(subjects, newSubject("sidecar-cold", s.name, connectionsOf(connections), func(ctx context.Context) (measured, error) {
				if s.metrics != nil {
					if err := r.RestartSidecar(ctx); err != nil {
						return measured{}, err
					}
				}
				return r.through(ctx, s, each(minted, connections), connections)
			}))
		}
		measured, err := r.interleave(ctx, r.Rounds, subjects...)
		if err != nil {
			return nil, err
		}
		rows = append(rows, measured...)
	}
	full, err := r.withTokens(ctx, minted)
	return append(rows, full), err
}

func (r *Run) tokens() int {
	if r.Quick {
		return quickTokens
	}
	return manyTokens
}

// each sends every token once.
func each(tokens []string, connections int) load.Scenario {
	share := len(tokens) / connections
	return load.Scenario{Name: "notes", Want: fasthttp.StatusOK, Limit: share, Fill: func(request *fasthttp.Request, connection, n int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", "Bearer "+tokens[connection*share+n])
	}}
}

// withTokens is the memory of a sidecar that remembers them all, while 64
// connections are busy.
func (r *Run) withTokens(ctx context.Context, tokens []string) (result.Row, error) {
	row := result.Row{Scenario: "memory", Subject: "sidecar", Params: map[string]float64{"connections": 64, "tokens": float64(len(tokens))}}
	if err := r.RestartSidecar(ctx); err != nil {
		return row, err
	}
	l := each(tokens, 64)
	l.Addr = r.Sidecar
	if loaded := load.Run(ctx, l, 64, time.Minute); loaded.Errors > 0 {
		row.Invalid = strconv.FormatInt(loaded.Errors, 10) + " requests failed: " + loaded.FirstError
	}
	for range r.Rounds {
		if _, err := r.closed(ctx, r.sidecar(), l, 64); err != nil {
			return row, err
		}
		bytes, err := rss(r.sidecar().pids())
		if err != nil {
			return row, err
		}
		row.Rounds = append(row.Rounds, result.Sample{result.RSS: bytes})
	}
	return row, r.drained(ctx, r.SidecarAdmin)
}

// mint gets tokens for one agent.
func (r *Run) mint(ctx context.Context, n int) ([]string, error) {
	config := r.Config(r.Reader.Credential, r.Resource())
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
