package growth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// The scenarios of Agents.
const (
	Issuance      = "growth-issuance"      // a token for a client
	Introspection = "growth-introspection" // authentication without a signature
)

// Requests a second, low enough that nothing waits for anything else, and how
// many may be under way at once.
const (
	issuanceRate      = 50
	introspectionRate = 100
	inFlight          = 32
	warmUp            = 500 * time.Millisecond
)

// callers are how many of a size's clients call in turn: enough that a larger
// store is not measured by the few rows that stay in a cache.
const callers = 10_000

// Agents measures issuance and introspection at a fixed low rate by the number
// of agents: a subject "idp" with the parameter agents.
func (o *Options) Agents(ctx context.Context, sizes []int64) (found []result.Row, err error) {
	sites, err := o.sites(ctx, "agents", sizes, func(store *seed.Store, s *site) error {
		return store.Agents(ctx, seed.Agents{
			Count: s.size, Organization: "growth", Capabilities: []string{"notes:read"}, Pepper: seed.Pepper(s.Stack),
			Now: time.Now(), Progress: o.progress("agents"),
		})
	})
	defer func() { err = errors.Join(err, closeAll(sites)) }()
	if err != nil {
		return nil, err
	}
	var all []*series
	var visits []func() error
	for _, s := range sites {
		v := &callersOf{site: s, issuance: newSeries(Issuance, "idp", "agents", s.size), introspection: newSeries(Introspection, "idp", "agents", s.size)}
		v.prepare()
		all = append(all, v.issuance, v.introspection)
		visits = append(visits, func() error { return v.visit(ctx, o.Slice) })
	}
	if err := o.rounds(ctx, "agents", visits); err != nil {
		return nil, err
	}
	return rows(all...)
}

// rounds makes all visits in turn, as often as there are rounds.
func (o *Options) rounds(ctx context.Context, noun string, visits []func() error) error {
	for round := range o.Rounds {
		for _, visit := range visits {
			err := ctx.Err()
			if err == nil {
				err = visit()
			}
			if err != nil {
				return fmt.Errorf("growth by %s: %w", noun, err)
			}
		}
		o.say("growth   by %s, round %d of %d", noun, round+1, o.Rounds)
	}
	return nil
}

// callersOf are the clients of a site.
type callersOf struct {
	*site
	issuance, introspection *series
	authorizations          []string
	called                  int // requests of all visits so far
}

// prepare picks clients spread over all that there are.
func (v *callersOf) prepare() {
	count := min(v.size, callers)
	for n := range count {
		c := seed.ClientAt(n * v.size / count)
		v.authorizations = append(v.authorizations, "Basic "+base64.StdEncoding.EncodeToString([]byte(c.ClientID+":"+c.ClientSecret)))
	}
}

func (v *callersOf) visit(ctx context.Context, slice time.Duration) error {
	before, err := v.newest(ctx)
	if err != nil {
		return err
	}
	issued := v.run(ctx, "/api/v1/token", url.Values{"grant_type": {"client_credentials"}, "resource": {"https://notes.example"}}, issuanceRate, slice, v.issuance)
	after, err := v.newest(ctx)
	if err != nil {
		return err
	}
	if after-before < issued {
		v.issuance.row.Invalid = fmt.Sprintf("%d tokens were issued, %d events recorded", issued, after-before)
	}
	c := seed.ClientAt(0)
	token, err := v.Config(stack.Credential{ClientID: c.ClientID, ClientSecret: c.ClientSecret}, "https://notes.example").Token(ctx)
	if err != nil {
		return err
	}
	v.run(ctx, "/api/v1/token/introspect", url.Values{"token": {token.AccessToken}}, introspectionRate, slice, v.introspection)
	return nil
}

// run posts the form as one client after the other, first unmeasured, and
// returns how many answers were good.
func (v *callersOf) run(ctx context.Context, path string, form url.Values, rate float64, slice time.Duration, into *series) int64 {
	body, offset := form.Encode(), v.called
	scenario := load.Scenario{Name: into.row.Scenario, Addr: v.IdP, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, n int) {
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI(path)
		request.Header.SetContentType("application/x-www-form-urlencoded")
		request.Header.Set("Authorization", v.authorizations[(offset+n)%len(v.authorizations)])
		request.SetBodyString(body)
	}}
	load.RunOpen(ctx, scenario, load.Open{Rate: rate, InFlight: inFlight, Duration: min(warmUp, slice)})
	r := load.RunOpen(ctx, scenario, load.Open{Rate: rate, InFlight: inFlight, Duration: slice})
	v.called += int(r.Requests)
	into.add(r, nil)
	return r.Requests - r.Errors
}

// newest is the sequence of the last event.
func (s *site) newest(ctx context.Context) (int64, error) {
	var page struct {
		Data []struct {
			Sequence int64 `json:"sequence"`
		} `json:"data"`
	}
	if err := s.get(ctx, "/api/v1/audit?limit=1", &page); err != nil {
		return 0, err
	}
	if len(page.Data) == 0 {
		return 0, errors.New("the audit log is empty")
	}
	return page.Data[0].Sequence, nil
}
