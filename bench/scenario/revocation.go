package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const revokedTokens = 24 // a round

// revocation measures from the 200 of a token's revocation to its first refusal
// at the sidecar, which had it in its cache.
func revocation(ctx context.Context, r *Run) ([]result.Row, error) {
	if _, err := r.focusSidecar(ctx); err != nil {
		return nil, err
	}
	return r.interleave(ctx, r.Rounds, newSubject("revocation-token", "sidecar", nil, func(ctx context.Context) (measured, error) {
		took := load.NewResult("revocation")
		for range revokedTokens {
			t, err := r.revokeOne(ctx)
			if err != nil {
				return measured{}, err
			}
			took.Record(t)
		}
		m := measured{took.Sample(), took.Latency}
		delete(m.sample, result.PerSecond)
		return m, nil
	}))
}

func (r *Run) revokeOne(ctx context.Context) (time.Duration, error) {
	token, err := r.accepted(ctx)
	if err != nil {
		return 0, err
	}
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Issuer()+"/api/v1/token/revoke", form)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(r.Reader.ClientID, r.Reader.ClientSecret)
	answer, err := stack.Send(http.DefaultClient, request)
	if err != nil {
		return 0, fmt.Errorf("revoke: %w", err)
	}
	if answer.Status != http.StatusOK {
		return 0, fmt.Errorf("revoke: %d %s", answer.Status, answer.Body)
	}
	return r.untilRefused(ctx, token, time.Now())
}

// accepted is a new token that the sidecar remembers. An agent that was
// suspended a moment ago may be refused for another.
func (r *Run) accepted(ctx context.Context) (string, error) {
	token, err := r.token(ctx, r.Resource())
	if err != nil {
		return "", err
	}
	good := 0
	for until := time.Now().Add(reachLimit); good < 2; { // the second time from the cache
		status, err := r.ask(ctx, token)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK:
			good++
		case time.Now().After(until):
			return "", fmt.Errorf("a fresh token: %d", status)
		default:
			time.Sleep(time.Millisecond)
		}
	}
	return token, nil
}

func (r *Run) ask(ctx context.Context, token string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Resource()+"/notes", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := stack.Send(http.DefaultClient, request)
	return answer.Status, err
}

func (r *Run) untilRefused(ctx context.Context, token string, began time.Time) (time.Duration, error) {
	for time.Since(began) < reachLimit {
		status, err := r.ask(ctx, token)
		if err != nil {
			return 0, err
		}
		if status == http.StatusUnauthorized {
			return time.Since(began), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("the sidecar does not refuse")
}
