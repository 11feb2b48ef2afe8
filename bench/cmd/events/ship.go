package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/decision"
)

const sidecarID = "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001"

// stream makes the decisions of one sidecar, each chained to the one before it.
type stream struct {
	next   int64
	anchor string
}

// batch is the next n decisions, one a line: nine in ten allowed, one denied.
func (s *stream) batch(n int64) ([]byte, error) {
	var lines bytes.Buffer
	for range n {
		r := decision.Record{
			Sequence: s.next, PrevHash: s.anchor, DecisionID: fmt.Sprintf("%08x-0000-4000-8000-%012x", s.next>>32, s.next),
			Time: time.Now().UTC().Format(decision.TimeLayout), Method: http.MethodGet, Host: "notes.example.com", Path: fmt.Sprintf("/notes/%d", s.next),
			RouteID: "GET /notes/{id}", Capability: "notes:read", Outcome: decision.Allowed, Reason: "capability", Status: http.StatusOK,
		}
		if s.next%10 == 9 {
			r.Outcome, r.Reason, r.Status = decision.Denied, "insufficient_scope", http.StatusForbidden
		}
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		s.next, s.anchor = s.next+1, r.Anchor(line)
		lines.Write(append(line, '\n'))
	}
	return lines.Bytes(), nil
}

// ship sends the decisions in batches and prints how fast they become durable.
func ship(ctx context.Context, s *stack.Stack, events int64) error {
	credential, err := s.Administrator()
	if err != nil {
		return err
	}
	admin, err := s.Client(ctx, credential)
	if err != nil {
		return err
	}
	sidecar, err := admin.Register(ctx, stack.Registration{Email: "events-sidecar@example.com", AgentType: "sidecar", Capabilities: []string{"decisions:write"}})
	if err != nil {
		return err
	}
	client := s.Config(sidecar.Credential).Client(ctx) // renews its token
	began, said, of := time.Now(), time.Now(), stream{}
	for of.next < events {
		body, err := of.batch(min(decision.MaxRecords, events-of.next))
		if err != nil {
			return err
		}
		if err := send(ctx, client, s.Issuer(), body); err != nil {
			return fmt.Errorf("after %d: %w", of.next, err)
		}
		if time.Since(said) > 10*time.Second || of.next == events {
			said = time.Now()
			fmt.Printf("shipped  %d of %d, %.0f/s\n", of.next, events, float64(of.next)/time.Since(began).Seconds())
		}
	}
	return nil
}

const patience = time.Minute // with an IdP that answers 503, as a sidecar has

// send repeats the batch while it is refused for now: what is in the log
// already is skipped.
func send(ctx context.Context, client *http.Client, issuer string, body []byte) error {
	for began := time.Now(); ; time.Sleep(time.Second) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/api/v1/audit/decisions", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-ndjson")
		request.Header.Set("X-Sidecar-Id", sidecarID)
		answer, err := stack.Send(client, request)
		switch {
		case err != nil:
			return err
		case answer.Status == http.StatusOK:
			return nil
		case answer.Status != http.StatusServiceUnavailable || time.Since(began) > patience:
			return fmt.Errorf("%d %s", answer.Status, answer.Body)
		}
		fmt.Printf("refused  %s\n", answer.Body)
	}
}

// measure runs lists and issuance on the long log.
func measure(ctx context.Context, s *stack.Stack, slice time.Duration) error {
	credential, err := s.Administrator()
	if err != nil {
		return err
	}
	for _, query := range []string{"", "&action=token.issued", "&outcome=denied", "&to=2000-01-01T00:00:00Z"} {
		token, err := s.Config(credential).Token(ctx)
		if err != nil {
			return err
		}
		result := load.Run(ctx, load.Scenario{Name: "audit" + query, Addr: s.IdP, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
			request.SetRequestURI("/api/v1/audit?limit=100" + query)
			request.Header.Set("Authorization", "Bearer "+token.AccessToken)
		}}, 2, slice)
		if err := say(result); err != nil {
			return err
		}
	}
	result := load.Run(ctx, load.Scenario{Name: "token", Addr: s.IdP, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI("/api/v1/token")
		request.Header.SetContentType("application/x-www-form-urlencoded")
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credential.ClientID+":"+credential.ClientSecret)))
		request.SetBodyString("grant_type=client_credentials")
	}}, 8, slice)
	if err := say(result); err != nil {
		return err
	}
	return memory(ctx, s)
}

// memory prints what the IdP says of its own.
func memory(ctx context.Context, s *stack.Stack) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer()+"/metrics", nil)
	if err != nil {
		return err
	}
	answer, err := stack.Send(http.DefaultClient, request)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(answer.Body)) {
		if strings.HasPrefix(line, "process_resident_memory") {
			fmt.Println("memory  ", strings.TrimSpace(line))
		}
	}
	return nil
}

func say(r load.Result) error {
	fmt.Println("served  ", r)
	if r.Errors > 0 {
		return fmt.Errorf("%s: %d errors: %s", r.Name, r.Errors, r.FirstError)
	}
	return nil
}
