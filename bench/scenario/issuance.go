package scenario

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/inside"
	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/rival"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// tokens asks for a token of one client.
func tokens(path, authorization, form string) load.Scenario {
	return load.Scenario{Name: "token", Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		fillToken(request, path, authorization, form)
	}}
}

func fillToken(request *fasthttp.Request, path, authorization, form string) {
	request.Header.SetMethod(fasthttp.MethodPost)
	request.SetRequestURI(path)
	request.Header.SetContentType("application/x-www-form-urlencoded")
	request.Header.Set("Authorization", authorization)
	request.SetBodyString(form)
}

func basic(c stack.Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ClientID+":"+c.ClientSecret))
}

const tokenPath = "/api/v1/token"

func tokenForm(resource string) string {
	return url.Values{"grant_type": {"client_credentials"}, "resource": {resource}}.Encode()
}

// issuance measures tokens beside what signs them, on the same cores in the
// same rounds. Each token of ours is durable in the audit log before it is answered.
func issuance(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	stubbed, reader, err := r.stubbed(ctx)
	if err != nil {
		return nil, err
	}
	defer stubbed.StopIdP() // it keeps nothing; Close says what went wrong
	ours := tokens(tokenPath, basic(r.Reader.Credential), tokenForm(r.Resource()))
	r.warm(ctx, r.idp(), ours, 8)
	subjects := []*subject{r.limit("sign", "own", false), r.limit("sign", "go", true)}
	for _, connections := range []int{1, 8, 64} {
		subjects = append(subjects, newSubject("issuance", "idp", connectionsOf(connections), func(ctx context.Context) (measured, error) {
			return r.recorded(ctx, r.Reader, func() (measured, error) { return r.closed(ctx, r.idp(), ours, connections) })
		}))
	}
	stub := server{name: "idp-stub", addr: stubbed.IdP, pids: func() []int { pid, _ := stubbed.PIDs(); return []int{pid} }}
	unrecorded := tokens(tokenPath, basic(reader), tokenForm(r.Resource()))
	r.warm(ctx, stub, unrecorded, 8)
	for _, connections := range []int{8, 64} {
		subjects = append(subjects, newSubject("issuance", stub.name, connectionsOf(connections), func(ctx context.Context) (measured, error) {
			return r.closed(ctx, stub, unrecorded, connections)
		}))
	}
	node, gap, err := r.oidcProvider(ctx)
	if err != nil {
		return nil, err
	}
	if node != nil {
		defer node.Close()
		request := node.TokenRequest(r.Resource())
		theirs := tokens(request.Path, request.Authorization, request.Form)
		at := server{name: string(node.Kind), addr: node.Addr, pids: node.PIDs}
		r.warm(ctx, at, theirs, 8)
		for _, connections := range []int{8, 64} {
			subjects = append(subjects, newSubject("issuance", at.name, connectionsOf(connections), func(ctx context.Context) (measured, error) {
				return r.closed(ctx, at, theirs, connections)
			}))
		}
	}
	rows, err := r.interleave(ctx, r.Rounds, subjects...)
	return append(rows, gap...), err
}

// stubbed runs an IdP whose audit log is a stub, and a client of it.
func (r *Run) stubbed(ctx context.Context) (*stack.Stack, stack.Credential, error) {
	s, err := r.Stubbed(ctx)
	if err != nil {
		return nil, stack.Credential{}, err
	}
	if err := lab.On(r.Servers, func() error { return s.StartIdP(ctx) }); err != nil {
		return nil, stack.Credential{}, err
	}
	reader, err := newReader(ctx, s)
	return s, reader, err
}

// newReader registers one on another stack.
func newReader(ctx context.Context, s *stack.Stack) (stack.Credential, error) {
	credential, err := s.Administrator()
	if err != nil {
		return stack.Credential{}, err
	}
	admin, err := s.Client(ctx, credential)
	if err != nil {
		return stack.Credential{}, err
	}
	reader, err := admin.Register(ctx, stack.Registration{Email: "bench@example.com", AgentType: "custom", Capabilities: []string{lab.Capability}})
	return reader.Credential, err
}

// oidcProvider is nil, with the rows that say why, where it cannot run.
func (r *Run) oidcProvider(ctx context.Context) (node *rival.Rival, gap []result.Row, err error) {
	err = lab.On(r.Servers, func() error {
		node, err = rival.Start(ctx, rival.OIDCProvider, rival.Options{Cores: max(1, len(r.Servers))})
		return err
	})
	if err != nil {
		return nil, []result.Row{rival.Unmeasured("issuance", rival.OIDCProvider, connectionsOf(64), err)}, nil
	}
	return node, nil, nil
}

// recorded holds a measurement to the store's own count: each token has been
// counted, in the transaction that wrote its audit event.
func (r *Run) recorded(ctx context.Context, client stack.Registered, measure func() (measured, error)) (measured, error) {
	before, err := r.issued(ctx, client)
	if err != nil {
		return measured{}, err
	}
	m, err := measure()
	if err != nil {
		return m, err
	}
	after, err := r.issued(ctx, client)
	if err != nil {
		return m, err
	}
	if sent := m.sample[result.Requests] - m.sample[result.Errors] - m.sample[result.TurnedAway]; float64(after-before) != sent {
		return m, invalidf("%.0f tokens, and the store counted %d", sent, after-before)
	}
	return m, nil
}

// issued is the number of tokens that the store counted for the agent.
func (r *Run) issued(ctx context.Context, client stack.Registered) (int64, error) {
	var usage struct {
		TokensUsed int64 `json:"tokensUsed"`
	}
	err := r.Admin.JSON(ctx, http.MethodGet, "/api/v1/agents/"+client.AgentID+"/usage", nil, &usage)
	return usage.TokensUsed, err
}

func (r *Run) inside(ctx context.Context, args ...string) (measured, error) {
	var m inside.Measurement
	if err := r.Inside(ctx, &m, args...); err != nil {
		return measured{}, err
	}
	latency, err := load.Decode(m.Histogram)
	return measured{m.Sample, latency}, err
}
