package scenario

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const (
	offered       = 5    // times what the IdP does at its best
	crowd         = 2048 // of those in flight at once: more than the IdP lets wait
	overloaded    = 2 * time.Second
	floodedAt     = 8  // connections of the client that floods must not slow
	floodingOn    = 64 // connections of the flood
	floodingAhead = 100 * time.Millisecond
)

// overload asks for five times the tokens that can be issued, and for tokens
// beside floods of what is refused.
func overload(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	ours := tokens(tokenPath, basic(r.Reader.Credential), tokenForm(r.Resource()))
	r.warm(ctx, r.idp(), ours, 64)
	var best float64
	rows, err := r.interleave(ctx, r.Rounds,
		newSubject("overload", "idp", map[string]float64{"offered": 1}, func(ctx context.Context) (measured, error) {
			m, err := r.recorded(ctx, r.Reader, func() (measured, error) { return r.closed(ctx, r.idp(), ours, 64) })
			best = m.sample[result.PerSecond]
			return m, err
		}),
		newSubject("overload", "idp", map[string]float64{"offered": offered}, func(ctx context.Context) (measured, error) {
			if best == 0 {
				return measured{}, invalidf("no capacity was measured to ask five times of")
			}
			return r.recorded(ctx, r.Reader, func() (measured, error) { return r.crowded(ctx, r.idp(), ours, offered*best) })
		}))
	if err != nil {
		return nil, err
	}
	caller, err := r.adminToken(ctx)
	if err != nil {
		return nil, err
	}
	token, err := r.token(ctx, r.Resource())
	if err != nil {
		return nil, err
	}
	form := tokenForm(r.Resource())
	flooded, err := r.floods(ctx, "flood", r.idp(), ours, []flood{
		{"wrong-secrets", tokens(tokenPath, basic(stack.Credential{ClientID: r.Reader.ClientID, ClientSecret: "aidp_sk_" + strings.Repeat("0", 64)}), form), fasthttp.StatusUnauthorized},
		{"unknown-clients", load.Scenario{Name: "token", Fill: func(request *fasthttp.Request, _, _ int) {
			fillToken(request, tokenPath, basic(stack.Credential{ClientID: "aidp_c_" + random(11), ClientSecret: "aidp_sk_" + random(32)}), form)
		}}, fasthttp.StatusUnauthorized},
		{"forged-tokens", load.Scenario{Name: "introspection", Fill: func(request *fasthttp.Request, _, _ int) {
			fillToken(request, "/api/v1/token/introspect", "Bearer "+forged(token), "token="+token)
		}}, fasthttp.StatusUnauthorized},
		{"random-kids", load.Scenario{Name: "introspection", Fill: func(request *fasthttp.Request, _, _ int) {
			fillToken(request, "/api/v1/token/introspect", "Bearer "+caller, "token="+otherKey(token))
		}}, fasthttp.StatusOK},
	})
	return append(rows, flooded...), err
}

// crowded offers a rate that the server cannot serve, and may turn away.
func (r *Run) crowded(ctx context.Context, s server, l load.Scenario, rate float64) (measured, error) {
	l.Addr, l.Sheds = s.addr, true
	return r.under(ctx, s, func() load.Result {
		return load.RunOpen(ctx, l, load.Open{Rate: rate, InFlight: crowd, Connected: true, Duration: max(overloaded, r.Slice)})
	})
}

// sidecarFlood is a client of the sidecar beside those whose tokens are none.
func sidecarFlood(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	r.warm(ctx, r.sidecar(), notes(token), floodedAt)
	as := func(change func(string) string) load.Scenario {
		return load.Scenario{Name: "notes", Fill: func(request *fasthttp.Request, _, _ int) {
			request.SetRequestURI("/notes")
			request.Header.Set("Authorization", "Bearer "+change(token))
		}}
	}
	return r.floods(ctx, "sidecar-flood", r.sidecar(), notes(token), []flood{
		{"forged-tokens", as(forged), fasthttp.StatusUnauthorized},
		{"random-kids", as(otherKey), fasthttp.StatusUnauthorized},
	})
}

// flood is a kind of request that a server refuses, or may turn away.
type flood struct {
	name string
	load load.Scenario
	want int
}

// floods measures a client alone, and beside each flood in turn.
func (r *Run) floods(ctx context.Context, scenario string, s server, client load.Scenario, floods []flood) ([]result.Row, error) {
	subjects := []*subject{newSubject(scenario, "alone", connectionsOf(floodedAt), func(ctx context.Context) (measured, error) {
		return r.closed(ctx, s, client, floodedAt)
	})}
	for _, f := range floods {
		f.load.Addr, f.load.Want, f.load.Sheds = s.addr, f.want, true
		subjects = append(subjects, newSubject(scenario, f.name, connectionsOf(floodedAt), func(ctx context.Context) (measured, error) {
			return r.beside(ctx, f.load, func() (measured, error) { return r.closed(ctx, s, client, floodedAt) })
		}))
	}
	return r.interleave(ctx, r.Rounds, subjects...)
}

// beside measures while a flood lasts. One that fails was not that flood.
func (r *Run) beside(ctx context.Context, flood load.Scenario, measure func() (measured, error)) (measured, error) {
	flooding, end := context.WithCancel(ctx)
	var done sync.WaitGroup
	var flooded load.Result
	done.Go(func() { flooded = load.Run(flooding, flood, floodingOn, time.Hour) })
	time.Sleep(floodingAhead)
	m, err := measure()
	end()
	done.Wait()
	if err != nil {
		return m, err
	}
	r.Note("flood: %s", flooded)
	return m, failed(flooded)
}

// forged has a signature that is not of its text.
func forged(token string) string {
	return token[:strings.LastIndexByte(token, '.')+1] + strings.Repeat(random(1), 171)[:342]
}

// otherKey names a key that there is not.
func otherKey(token string) string {
	header := `{"alg":"RS256","kid":"` + random(16) + `","typ":"at+jwt"}`
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + token[strings.IndexByte(token, '.'):]
}

func random(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b)
}
