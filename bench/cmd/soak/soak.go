package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// The load: enough to turn everything over, and half of what two cores can do.
const (
	connections = 8
	tokenPause  = 40 * time.Millisecond // of each connection that asks for tokens
	apiPause    = 8 * time.Millisecond  // of each that calls the API through the sidecar
)

// The release gates.
const (
	maxErrors   = 0.001 // of all requests
	maxTokenP99 = 100 * time.Millisecond
	maxAPIP99   = 200 * time.Millisecond
	maxGrowth   = 64 << 10 // KiB of each program, after the first tenth
)

// soak is the running stack and what was measured so far.
type soak struct {
	*stack.Stack
	reader        stack.Registered
	token, api    load.Result // of the last round
	tokens, calls load.Result // of all rounds
	memory        [][2]int    // KiB of IdP and sidecar, after each round
}

func (s *soak) register(ctx context.Context) error {
	credential, err := s.Administrator()
	if err != nil {
		return err
	}
	admin, err := s.Client(ctx, credential)
	if err != nil {
		return err
	}
	s.reader, err = admin.Register(ctx, stack.Registration{Email: "soak@example.com", AgentType: "custom", Capabilities: []string{"notes:read"}})
	return err
}

// round loads both programs for a while, then revokes the token it used.
func (s *soak) round(ctx context.Context, duration time.Duration) error {
	token, err := s.Config(s.reader.Credential, s.Resource()).Token(ctx)
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {s.Resource()}}.Encode()
	issuance := load.Scenario{Name: "token", Addr: s.IdP, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		time.Sleep(tokenPause)
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI("/api/v1/token")
		request.Header.SetContentType("application/x-www-form-urlencoded")
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.reader.ClientID+":"+s.reader.ClientSecret)))
		request.SetBodyString(form)
	}}
	call := load.Scenario{Name: "API", Addr: s.Sidecar, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		time.Sleep(apiPause)
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", "Bearer "+token.AccessToken)
	}}
	var both sync.WaitGroup
	both.Go(func() { s.token = load.Run(ctx, issuance, connections, duration) })
	both.Go(func() { s.api = load.Run(ctx, call, connections, duration) })
	both.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	add(&s.tokens, s.token)
	add(&s.calls, s.api)
	if err := s.revoke(ctx, token.AccessToken); err != nil {
		return err
	}
	return s.measure()
}

func add(total *load.Result, r load.Result) {
	if total.Latency == nil {
		*total = r
		return
	}
	total.Requests += r.Requests
	total.Errors += r.Errors
	total.Elapsed += r.Elapsed
	total.Latency.Merge(r.Latency)
	if total.FirstError == "" {
		total.FirstError = r.FirstError
	}
}

func (s *soak) revoke(ctx context.Context, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Issuer()+"/api/v1/token/revoke", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(s.reader.ClientID, s.reader.ClientSecret)
	answer, err := stack.Send(http.DefaultClient, request)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("revoke: %d %s", answer.Status, answer.Body)
	}
	return err
}

func (s *soak) measure() error {
	idp, sidecar := s.PIDs()
	var kib [2]int
	for i, pid := range []int{idp, sidecar} {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		if _, err := fmt.Sscan(rest, &kib[i]); err != nil {
			return fmt.Errorf("resident memory of process %d: %w", pid, err)
		}
	}
	s.memory = append(s.memory, kib)
	return nil
}

// progress is one line on the last round.
func (s *soak) progress() string {
	now := s.memory[len(s.memory)-1]
	return fmt.Sprintf("%s  %s  RSS %d and %d MiB", s.token, s.api, now[0]>>10, now[1]>>10)
}

// judge prints the figures of all rounds and names the gates that were missed.
func (s *soak) judge() error {
	if s.memory == nil {
		return errors.New("ended before the first round did")
	}
	first, last := s.memory[len(s.memory)/10], s.memory[len(s.memory)-1]
	requests, failed := s.tokens.Requests+s.calls.Requests, s.tokens.Errors+s.calls.Errors
	rate := float64(failed) / float64(requests)
	fmt.Printf("soak requests=%d errors=%d error_rate=%.5f token_p99=%s api_p99=%s idp_rss_growth_kib=%d sidecar_rss_growth_kib=%d\n",
		requests, failed, rate, s.tokens.Quantile(99), s.calls.Quantile(99), last[0]-first[0], last[1]-first[1])
	var missed []error
	demand := func(holds bool, format string, args ...any) {
		if !holds {
			missed = append(missed, fmt.Errorf(format, args...))
		}
	}
	demand(rate < maxErrors, "error rate %.5f: %s%s", rate, s.tokens.FirstError, s.calls.FirstError)
	demand(s.tokens.Quantile(99) < maxTokenP99, "token p99 %s", s.tokens.Quantile(99))
	demand(s.calls.Quantile(99) < maxAPIP99, "API p99 %s", s.calls.Quantile(99))
	for i, name := range []string{"IdP", "sidecar"} {
		demand(last[i]-first[i] < maxGrowth, "the %s grew by %d KiB", name, last[i]-first[i])
	}
	return errors.Join(missed...)
}
