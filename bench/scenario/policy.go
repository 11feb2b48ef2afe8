package scenario

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/policies"
)

// sidecarDenied measures refusals: a good token without the capability. The
// bare proxy, which refuses nobody, is beside it for the ratio.
func sidecarDenied(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.Sidecar); err != nil {
		return nil, err
	}
	stranger, err := r.Admin.Register(ctx, stack.Registration{Email: "stranger@example.com", AgentType: "custom", Capabilities: []string{"notes:write"}})
	if err != nil {
		return nil, err
	}
	issued, err := r.Config(stranger.Credential, r.Resource()).Token(ctx)
	if err != nil {
		return nil, err
	}
	refused := notes(issued.AccessToken)
	refused.Want = fasthttp.StatusForbidden
	var subjects []*subject
	for _, connections := range []int{1, 64} {
		subjects = append(subjects,
			newSubject("sidecar-denied", "bare", connectionsOf(connections), func(ctx context.Context) (measured, error) {
				return r.through(ctx, r.bareProxy(), notes(issued.AccessToken), connections)
			}),
			newSubject("sidecar-denied", "sidecar", connectionsOf(connections), func(ctx context.Context) (measured, error) {
				return r.through(ctx, r.sidecar(), refused, connections)
			}))
	}
	return r.interleave(ctx, r.Rounds, subjects...)
}

// byPath is a policy that reads the path: a decision is remembered for that path
// only, and each request here has one of its own.
const byPath = `package agentidp.authz

default decision := {"allow": false, "reason": "capability_missing"}

decision := {"allow": true, "reason": "capability"} if {
	input.route.capability in input.token.scope
	startswith(input.request.path, "/notes")
}
`

// byPathTest: a policy without a test of its own is not loaded.
const byPathTest = `package agentidp.authz_test

import data.agentidp.authz

test_allowed if authz.decision.allow with input as {"route": {"capability": "notes:read"}, "token": {"scope": ["notes:read"]}, "request": {"path": "/notes/1"}}

test_denied if not authz.decision.allow with input as {"route": {"capability": "notes:write"}, "token": {"scope": ["notes:read"]}, "request": {"path": "/notes/1"}}
`

// sidecarOPA measures a policy that is evaluated for each request.
func sidecarOPA(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := r.policyFolder()
	if err != nil {
		return nil, err
	}
	if err := r.RestartSidecar(ctx, "AGENTIDP_SIDECAR_POLICY_DIR="+folder); err != nil {
		return nil, err
	}
	paths := 0 // of earlier measurements
	var subjects []*subject
	for _, connections := range []int{1, 64} {
		for _, s := range []server{r.bareProxy(), r.sidecar()} {
			paths++
			r.warm(ctx, s, note(token, paths), connections)
			subjects = append(subjects, newSubject("sidecar-opa", s.name, connectionsOf(connections), func(ctx context.Context) (measured, error) {
				paths++
				return r.evaluated(ctx, s, note(token, paths), connections)
			}))
		}
	}
	rows, err := r.interleave(ctx, r.Rounds, subjects...)
	if err != nil {
		return nil, err
	}
	return rows, r.RestartSidecar(ctx) // with the built-in policy
}

// note asks for another note each time.
func note(token string, series int) load.Scenario {
	prefix := "/notes/" + strconv.Itoa(series) + "-"
	return load.Scenario{Name: "note", Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, connection, n int) {
		request.SetRequestURI(prefix + strconv.Itoa(connection) + "-" + strconv.Itoa(n))
		request.Header.Set("Authorization", "Bearer "+token)
	}}
}

// evaluated holds the measurement to the sidecar's count of evaluations.
func (r *Run) evaluated(ctx context.Context, s server, l load.Scenario, connections int) (measured, error) {
	if s.metrics == nil {
		return r.through(ctx, s, l, connections)
	}
	before, err := evaluations(ctx, s)
	if err != nil {
		return measured{}, err
	}
	m, err := r.through(ctx, s, l, connections)
	if err != nil {
		return m, err
	}
	after, err := evaluations(ctx, s)
	if err != nil {
		return m, err
	}
	if after-before != m.sample[result.Requests] {
		return m, invalidf("%.0f requests, and the policy was evaluated %.0f times", m.sample[result.Requests], after-before)
	}
	return m, nil
}

func evaluations(ctx context.Context, s server) (float64, error) {
	page, err := lab.ReadMetrics(ctx, s.metrics())
	if err != nil {
		return 0, err
	}
	return page.Value("sidecar_policy_evaluation_seconds_count")
}

func (r *Run) policyFolder() (string, error) {
	folder, err := r.Folder()
	if err != nil {
		return "", err
	}
	data, err := policies.Files.ReadFile("data.yaml")
	if err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{"authz.rego": []byte(byPath), "authz_test.rego": []byte(byPathTest), "data.yaml": data} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}
