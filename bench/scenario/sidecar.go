package scenario

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/rival"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// notes asks the API with the token.
func notes(token string) load.Scenario {
	return load.Scenario{Name: "notes", Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", "Bearer "+token)
	}}
}

// focusSidecar gives the sidecar its cores and a token for what is behind it.
func (r *Run) focusSidecar(ctx context.Context) (token string, err error) {
	if err := r.Focus(ctx, lab.Sidecar); err != nil {
		return "", err
	}
	return r.token(ctx, r.Resource())
}

func (r *Run) token(ctx context.Context, resource string) (string, error) {
	token, err := r.Config(r.Reader.Credential, resource).Token(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func (r *Run) sidecar() server {
	return server{
		name: "sidecar", addr: r.Sidecar,
		pids:    func() []int { _, pid := r.PIDs(); return []int{pid} },
		metrics: func() string { return r.SidecarAdmin }, cache: "sidecar_token_cache",
	}
}

func (r *Run) bareProxy() server {
	return server{name: "bare", addr: r.BareAddr, pids: func() []int { return []int{r.BarePID()} }}
}

func (r *Run) direct() server {
	return server{name: "direct", addr: r.APIAddr, behind: true, pids: func() []int { return []int{r.APIPID()} }}
}

// sidecarWarm measures the ways to one API in turns: called directly, through a
// bare fasthttp proxy, through HAProxy that verifies the same token, and through
// the sidecar, whose IdP gets every decision. Each proxy has the measured cores in
// its turn; load, API and IdP share the others.
func sidecarWarm(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	servers := []server{r.direct(), r.bareProxy(), r.sidecar()}
	proxy, gap, err := r.haproxy(ctx, "sidecar-warm", token)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		defer proxy.Close()
		servers = append(servers, server{name: string(proxy.Kind), addr: proxy.Addr, pids: proxy.PIDs})
	}
	connections := []int{1, 8, 64, 256}
	if r.Quick {
		connections = connections[:3]
	}
	rows := gap
	for _, n := range connections {
		measured, err := r.warmAt(ctx, servers, token, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, measured...)
	}
	return rows, r.profiled(ctx, token, connections)
}

func (r *Run) warmAt(ctx context.Context, servers []server, token string, connections int) ([]result.Row, error) {
	subjects := make([]*subject, 0, len(servers)+1)
	for _, s := range servers {
		l := notes(token)
		r.warm(ctx, s, l, connections)
		subjects = append(subjects, newSubject("sidecar-warm", s.name, connectionsOf(connections), func(ctx context.Context) (measured, error) {
			return r.through(ctx, s, l, connections)
		}))
	}
	if other := r.Other(); other != nil {
		issued, err := r.token(ctx, other.Resource())
		if err != nil {
			return nil, err
		}
		s, l := r.otherSidecar(other), notes(issued)
		subjects = append(subjects, newSubject("sidecar-warm", s.name, connectionsOf(connections), func(ctx context.Context) (measured, error) {
			return r.through(ctx, s, l, connections)
		}))
	}
	return r.interleave(ctx, r.Rounds, subjects...)
}

func (r *Run) otherSidecar(other *stack.Stack) server {
	return server{
		name: "other-sidecar", addr: other.Sidecar, metrics: func() string { return other.SidecarAdmin },
		pids: func() []int {
			pid, err := lab.PIDOf("AGENTIDP_SIDECAR_ADDR=" + other.Sidecar)
			if err != nil {
				return nil // its processor time is 0 then: it has ended
			}
			return []int{pid}
		},
	}
}

// through loads a way to the API. A sidecar must have recorded a decision for
// each request, and is measured again once the IdP has them all.
func (r *Run) through(ctx context.Context, s server, l load.Scenario, connections int) (measured, error) {
	if s.metrics == nil {
		return r.closed(ctx, s, l, connections)
	}
	admin := s.metrics()
	if err := r.drained(ctx, admin); err != nil {
		return measured{}, err
	}
	before, err := sequences(ctx, admin)
	if err != nil {
		return measured{}, err
	}
	began, err := cpu(s.pids())
	if err != nil {
		return measured{}, err
	}
	m, err := r.closed(ctx, s, l, connections)
	if err != nil {
		return m, err
	}
	if err := r.drained(ctx, admin); err != nil {
		return m, err
	}
	shipped, err := cpu(s.pids())
	if err != nil {
		return m, err
	}
	after, err := sequences(ctx, admin)
	if err != nil {
		return m, err
	}
	m.sample[result.CPUShipped] = micros(shipped-began) / m.sample[result.Requests]
	if recorded := after.next - before.next; recorded != m.sample[result.Requests] {
		return m, invalidf("%.0f requests, and %.0f decisions recorded", m.sample[result.Requests], recorded)
	}
	return m, nil
}

// haproxy verifies the same tokens on the same cores. It is nil, with the rows
// that say why, where it cannot run.
func (r *Run) haproxy(ctx context.Context, scenario, token string) (proxy *rival.Rival, gap []result.Row, err error) {
	key, err := rival.KeyOf(ctx, r.Issuer()+"/.well-known/jwks.json", token)
	if err != nil {
		return nil, nil, err
	}
	err = lab.On(r.Servers, func() error {
		proxy, err = rival.Start(ctx, rival.HAProxyJWT, rival.Options{
			Cores: max(1, len(r.Servers)), Upstream: r.APIAddr, Key: key, Issuer: r.Issuer(), Audience: r.Resource(),
		})
		return err
	})
	if err == nil {
		if err = proxy.CheckVerifies(ctx, "/notes", token); err == nil {
			return proxy, nil, nil
		}
		_ = proxy.Close() // it is not used
	}
	return nil, []result.Row{rival.Unmeasured(scenario, rival.HAProxyJWT, connectionsOf(64), err)}, nil
}
