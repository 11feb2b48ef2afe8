package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/policies"
)

// settle is how long the load pauses before the programs are looked at: what its
// connections hold is given back by then.
const settle = time.Second

// tokensInUse is how many tokens the calls take turns with.
const tokensInUse = 16

// world is the running programs and who uses them.
type world struct {
	*stack.Stack
	admin                    *stack.Client
	reader, bystander, loser stack.Registered                    // the loser's tokens are revoked in use
	login                    atomic.Pointer[login]               // of the reader, whose secret changes
	tokens                   atomic.Pointer[[tokensInUse]string] // Authorization of calls
	programs                 [2]program
	routes                   []byte // of the route file at first

	mu    sync.Mutex
	reach time.Duration // the longest from a revocation to the first refusal
}

// login is what asks for tokens.
type login struct {
	stack.Credential
	basic string // Authorization
}

// open starts everything on data in dir, with copies of routes and policies that may be changed.
func open(ctx context.Context, o options, dir string) (_ *world, err error) {
	addresses, err := stack.Free()
	if err != nil {
		return nil, err
	}
	s := &stack.Stack{Addresses: addresses, Bin: o.bin, Dir: dir, Routes: filepath.Join(dir, "routes.yaml")}
	idpPolicy, sidecarPolicy := policyFolders(dir)
	s.IdPEnv = []string{
		"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_PPROF=true", "AGENTIDP_POLICY_DIR=" + idpPolicy,
		// Within the run keys sign, retire and leave the key set, and tokens and revocations expire.
		"AGENTIDP_JWKS_MAX_AGE=" + (o.rotate / 6).Truncate(time.Second).String(), "AGENTIDP_TOKEN_TTL=" + max(time.Minute, 2*o.every).Truncate(time.Second).String(),
	}
	s.SidecarEnv = []string{"AGENTIDP_SIDECAR_PPROF=true", "AGENTIDP_SIDECAR_POLICY_DIR=" + sidecarPolicy}
	routes, err := os.ReadFile(o.routes)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.Routes, routes, 0o600); err != nil {
		return nil, err
	}
	if err := os.CopyFS(idpPolicy, policies.Files); err != nil {
		return nil, err
	}
	if err := os.CopyFS(sidecarPolicy, policies.Sidecar); err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	w := &world{Stack: s, routes: routes}
	defer func() {
		if err != nil {
			_ = w.Close() // the first error tells more
		}
	}()
	idp, sidecar := s.PIDs()
	w.programs = [2]program{{"idp", idp, s.IdPAdmin}, {"sidecar", sidecar, s.SidecarAdmin}}
	return w, w.register(ctx)
}

func policyFolders(dir string) (idp, sidecar string) {
	return filepath.Join(dir, "policy-idp"), filepath.Join(dir, "policy-sidecar")
}

func (w *world) register(ctx context.Context) error {
	credential, err := w.Administrator()
	if err != nil {
		return err
	}
	if w.admin, err = w.Client(ctx, credential); err != nil {
		return err
	}
	for name, agent := range map[string]*stack.Registered{"reader": &w.reader, "bystander": &w.bystander, "loser": &w.loser} {
		*agent, err = w.admin.Register(ctx, stack.Registration{Email: name + "@soak.example.com", AgentType: "custom", Capabilities: []string{"notes:read"}})
		if err != nil {
			return err
		}
	}
	w.use(w.reader.Credential)
	return w.renew(ctx)
}

// use makes the credential the one that asks for tokens.
func (w *world) use(c stack.Credential) {
	w.login.Store(&login{c, "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ClientID+":"+c.ClientSecret))})
}

// renew gives the calls new tokens.
func (w *world) renew(ctx context.Context) error {
	var tokens [tokensInUse]string
	for i := range tokens {
		token, err := w.token(ctx, w.login.Load().Credential)
		if err != nil {
			return err
		}
		tokens[i] = "Bearer " + token
	}
	w.tokens.Store(&tokens)
	return nil
}

func (w *world) token(ctx context.Context, c stack.Credential) (string, error) {
	token, err := w.Config(c, w.Resource()).Token(ctx)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return token.AccessToken, nil
}

// call is the status of one API call through the sidecar.
func (w *world) call(ctx context.Context, token string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Resource()+"/notes", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := stack.Send(http.DefaultClient, request)
	return answer.Status, err
}

// send wants a 200.
func send(request *http.Request) error {
	answer, err := stack.Send(http.DefaultClient, request)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %.200s", request.Method, request.URL.Path, answer.Status, answer.Body)
	}
	return err
}

func (w *world) reached(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reach = max(w.reach, took)
}
