package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const (
	manyClients  = 10_000
	quickClients = 500
	coldClients  = 200
	quickCold    = 24
	hashing      = 4 // requests at once that take a bcrypt each: more would be turned away
)

// issuanceClients asks for tokens as many clients in turn, beside one client:
// what is kept by client must not decide how fast a token is.
func issuanceClients(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	count := manyClients
	if r.Quick {
		count = quickClients
	}
	if err := r.seedClients(ctx, count); err != nil {
		return nil, err
	}
	clients := make([]stack.Credential, count)
	for i, c := range seed.Clients(int64(count)) {
		clients[i] = stack.Credential{ClientID: c.ClientID, ClientSecret: c.ClientSecret}
	}
	one := tokens(tokenPath, basic(r.Reader.Credential), tokenForm(r.Resource()))
	many := asClients(clients, tokenForm(r.Resource()))
	warm := many
	warm.Limit = (count + 63) / 64
	warm.Addr = r.IdP
	if proved := load.Run(ctx, warm, 64, time.Minute); proved.Errors > 0 { // as each is once
		return nil, fmt.Errorf("%d of %d clients: %s", proved.Errors, count, proved.FirstError)
	}
	return r.interleave(ctx, r.Rounds,
		newSubject("issuance-clients", "idp", map[string]float64{"connections": 64, "clients": 1}, func(ctx context.Context) (measured, error) {
			return r.closed(ctx, r.idp(), one, 64)
		}),
		newSubject("issuance-clients", "idp", map[string]float64{"connections": 64, "clients": float64(count)}, func(ctx context.Context) (measured, error) {
			return r.closed(ctx, r.idp(), many, 64)
		}))
}

// seedClients writes them past the IdP, which is stopped meanwhile.
func (r *Run) seedClients(ctx context.Context, count int) (err error) {
	began := time.Now()
	if err := r.StopIdP(); err != nil {
		return err
	}
	store, err := seed.Open(ctx, seed.Address(r.Stack))
	if err != nil {
		return err
	}
	err = errors.Join(store.Agents(ctx, seed.Agents{
		Count: int64(count), Organization: "bench", Capabilities: []string{lab.Capability}, Pepper: seed.Pepper(r.Stack), Now: time.Now(),
	}), store.Close())
	if err != nil {
		return err
	}
	r.Note("%d clients in %s", count, time.Since(began).Round(time.Millisecond))
	return lab.On(r.Servers, func() error { return r.StartIdP(ctx) })
}

// asClients goes round all clients, each connection from its own place.
func asClients(clients []stack.Credential, form string) load.Scenario {
	authorization := make([]string, len(clients))
	for i, c := range clients {
		authorization[i] = basic(c)
	}
	return load.Scenario{Name: "token", Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, connection, n int) {
		fillToken(request, tokenPath, authorization[(connection+64*n)%len(authorization)], form)
	}}
}

// once lets every client ask once.
func once(clients []stack.Credential, form string) load.Scenario {
	share := max(1, len(clients)/hashing)
	return load.Scenario{Name: "token", Want: fasthttp.StatusOK, Limit: share, Fill: func(request *fasthttp.Request, connection, n int) {
		fillToken(request, tokenPath, basic(clients[(connection*share+n)%len(clients)]), form)
	}}
}

// register makes agents that may read notes, and whose secrets are hashed slowly.
func register(ctx context.Context, admin *stack.Client, count int) ([]stack.Credential, error) {
	clients, errs := make([]stack.Credential, count), make([]error, hashing)
	var workers sync.WaitGroup
	for w := range hashing {
		workers.Go(func() {
			for i := w; i < count && errs[w] == nil; i += hashing {
				agent, err := admin.Register(ctx, stack.Registration{Email: fmt.Sprintf("cold-%d@example.com", i), AgentType: "custom", Capabilities: []string{lab.Capability}})
				clients[i], errs[w] = agent.Credential, err
			}
		})
	}
	workers.Wait()
	return clients, errors.Join(errs...)
}

// issuanceBcrypt measures the first tokens of clients whose secrets rest as
// bcrypt, and a client whose secret is proved beside them: alone, and meanwhile.
func issuanceBcrypt(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	s, err := r.Spare(ctx, "AGENTIDP_SECRET_SCHEME=bcrypt")
	if err != nil {
		return nil, err
	}
	defer s.StopIdP() // Close says what went wrong
	start := func() error { return lab.On(r.Servers, func() error { return s.StartIdP(ctx) }) }
	if err := start(); err != nil {
		return nil, err
	}
	clients, neighbour, err := r.coldClients(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.StopIdP(), start()); err != nil { // what it has proved is forgotten
		return nil, err
	}
	if _, err := s.Config(neighbour).Token(ctx); err != nil { // proved again
		return nil, err
	}
	at := server{name: "idp", addr: s.IdP, pids: func() []int { pid, _ := s.PIDs(); return []int{pid} }, metrics: func() string { return s.IdP }}
	beside := tokens(tokenPath, basic(neighbour), "grant_type=client_credentials")
	share, round := len(clients)/r.Rounds, 0
	var cold load.Result
	params := func(cold float64) map[string]float64 {
		return map[string]float64{"connections": 8, "cold_clients": cold}
	}
	return r.interleave(ctx, r.Rounds,
		newSubject("issuance-bcrypt", "neighbour", params(0), func(ctx context.Context) (measured, error) { return r.closed(ctx, at, beside, 8) }),
		newSubject("issuance-bcrypt", "neighbour", params(float64(share)), func(ctx context.Context) (measured, error) {
			first := once(clients[round*share:(round+1)*share], "grant_type=client_credentials")
			first.Addr = s.IdP
			round++
			var flood sync.WaitGroup
			flood.Go(func() { cold = load.Run(ctx, first, hashing, time.Minute) })
			m, err := r.closed(ctx, at, beside, 8)
			flood.Wait()
			return m, err
		}),
		newSubject("issuance-bcrypt", "cold", map[string]float64{"clients": float64(share)}, func(context.Context) (measured, error) {
			if cold.Errors > 0 {
				return measured{cold.Sample(), cold.Latency}, invalidf("%d of %d first tokens failed: %s", cold.Errors, cold.Requests, cold.FirstError)
			}
			return measured{cold.Sample(), cold.Latency}, nil
		}))
}

// coldClients registers them, as many for each round, and one more.
func (r *Run) coldClients(ctx context.Context, s *stack.Stack) (clients []stack.Credential, neighbour stack.Credential, err error) {
	credential, err := s.Administrator()
	if err != nil {
		return nil, neighbour, err
	}
	admin, err := s.Client(ctx, credential)
	if err != nil {
		return nil, neighbour, err
	}
	count := coldClients
	if r.Quick {
		count = quickCold
	}
	count = max(hashing, count/r.Rounds/hashing*hashing) * r.Rounds
	began := time.Now()
	if clients, err = register(ctx, admin, count+1); err != nil {
		return nil, neighbour, err
	}
	r.Note("%d bcrypt clients in %s", count, time.Since(began).Round(time.Millisecond))
	return clients[:count], clients[count], nil
}
