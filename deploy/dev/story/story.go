// Package story plays AgentIdP's main job against the real programs, step by
// step, as `make demo` shows it and the end-to-end test asserts it.
package story

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// within is the product's promise: a change of authority is felt everywhere in a second.
const within = time.Second

// Result is what a step showed.
type Result struct {
	Title  string
	Detail string
	Took   time.Duration
	Err    error
}

// Play runs the story on the stack, which it starts and leaves stopped, and
// reports each step. A failed step ends the story: later ones build on it.
func Play(ctx context.Context, s *stack.Stack, report func(Result)) (passed, failed int) {
	p := &play{Stack: s, http: &http.Client{Timeout: 10 * time.Second}, decided: map[string]int64{}}
	steps := p.steps()
	if s.Elsewhere != nil {
		steps = steps[:len(steps)-1] // the last edits copies of the embedded store
	}
	for _, step := range steps {
		began := time.Now()
		detail, err := step.run(ctx)
		report(Result{Title: step.title, Detail: detail, Took: time.Since(began), Err: err})
		if err != nil {
			failed++
			break
		}
		passed++
	}
	if err := s.Close(); err != nil && failed == 0 {
		report(Result{Title: "all programs end cleanly", Err: err})
		failed++
	}
	return passed, failed
}

type step struct {
	title string
	run   func(ctx context.Context) (detail string, err error)
}

// play carries what later steps need from earlier ones.
type play struct {
	*stack.Stack
	http  *http.Client
	key   *rsa.PrivateKey // the IdP's signing key, imported so that "right key" forgeries exist
	admin *stack.Client

	screener stack.Registered
	token    string // the screener's latest
	dead     string // a token of the screener from before its suspension

	decided map[string]int64 // requests sent through the sidecar, by outcome
}

func (p *play) steps() []step {
	return []step{
		{"a signing key of our own is imported, IdP, notes API and sidecar start", p.start},
		{"the administrator logs in with the bootstrap credential", p.login},
		{"screener-001@example.com is registered with notes:read and gets its credential", p.register},
		{"an unmodified OAuth client gets it a token for the notes API", p.getToken},
		{"GET /notes through the sidecar: 200, and the API saw the agent's id", p.read},
		{"POST /notes: 403 capability_missing", p.writeDenied},
		{"forged tokens: 401 each, the API is not reached", p.forgeries},
		{"PATCH adds notes:write: a new token writes", p.grant},
		{"the capability is removed: the live token is refused within 1 s", p.strip},
		{"one token is revoked (RFC 7009): it is refused within 1 s", p.revokeToken},
		{"the agent is suspended: its live token is refused within 1 s, a new one is not issued", p.suspend},
		{"the agent is reactivated: a new token works, the old one stays dead", p.reactivate},
		{"the secret is rotated: the old one is 401, the new one works", p.rotate},
		{"the IdP stops, the sidecar is restarted meanwhile: it serves on", p.serveAlone},
		{"the IdP is back: all decisions arrive, none twice, no gap", p.catchUp},
		{"a stranger organization's agent with notes:read is refused here", p.stranger},
		{"the audit log lists it all", p.audit},
		{"audit verify says valid", p.verifyValid},
		{"one byte changed, one row removed, the tail cut, the whole tree recomputed: each is found", p.verifyTampered},
	}
}

// call sends a request through the sidecar and counts what it must have decided.
func (p *play) call(ctx context.Context, method, path, token, body string) (stack.Answer, error) {
	answer, err := p.send(ctx, method, path, token, body)
	if err != nil {
		return stack.Answer{}, err
	}
	outcome := "allowed"
	if reason := answer.Header.Get("X-AgentIdP-Error"); reason != "" {
		outcome = "denied"
	}
	p.decided[outcome]++
	return answer, nil
}

// expect calls and wants the status and, for a refusal, the reason.
func (p *play) expect(ctx context.Context, method, path, token, body string, status int, reason string) (stack.Answer, error) {
	answer, err := p.call(ctx, method, path, token, body)
	if err != nil {
		return stack.Answer{}, err
	}
	if got := answer.Header.Get("X-AgentIdP-Error"); answer.Status != status || got != reason {
		return answer, fmt.Errorf("%s %s: got %d %q, want %d %q: %s", method, path, answer.Status, got, status, reason, answer.Body)
	}
	return answer, nil
}

// refusedWithin calls until the token is refused, and says how long that took.
func (p *play) refusedWithin(ctx context.Context, token, reason string) (string, error) {
	began := time.Now()
	for {
		answer, err := p.call(ctx, http.MethodGet, "/notes", token, "")
		if err != nil {
			return "", err
		}
		took := time.Since(began)
		if answer.Status == http.StatusUnauthorized {
			if got := answer.Header.Get("X-AgentIdP-Error"); got != reason {
				return "", fmt.Errorf("refused with %q, want %q", got, reason)
			}
			if took > within {
				return "", fmt.Errorf("refused only after %s", took)
			}
			return fmt.Sprintf("refused %s after the answer", took.Round(time.Millisecond)), nil
		}
		if took > 10*within {
			return "", fmt.Errorf("still %d after %s", answer.Status, took)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
