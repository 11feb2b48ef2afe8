package agentidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	attempts     = 4
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 10 * time.Second
	maxAnswer    = 64 << 10
)

// request asks for a token, and again after a pause when the IdP is away,
// overloaded or limits the rate.
func (c Config) request(ctx context.Context) (*oauth2.Token, error) {
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		token, err := c.once(ctx)
		if err == nil {
			return token, nil
		}
		var refusal *Error
		if errors.As(err, &refusal) && !refusal.Temporary() || attempt == attempts || ctx.Err() != nil {
			return nil, err
		}
		pause := backoff/2 + rand.N(backoff/2) //nolint:gosec // jitter, not a secret
		if refusal != nil && refusal.RetryAfter > 0 {
			pause = refusal.RetryAfter + rand.N(firstBackoff) //nolint:gosec // jitter
		}
		if pause > maxBackoff {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
		backoff *= 2
	}
}

func (c Config) once(ctx context.Context) (*oauth2.Token, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.tokenURL(), strings.NewReader(c.form()))
	if err != nil {
		return nil, fmt.Errorf("agentidp: %w", err)
	}
	// RFC 6749 section 2.3.1: both parts are form-encoded first.
	request.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	asked := time.Now()
	response, err := c.client().Do(request)
	if err != nil {
		return nil, fmt.Errorf("agentidp: ask for a token: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as wanted
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("agentidp: read the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusal(response, body)
	}
	return parse(body, asked)
}

func refusal(response *http.Response, body []byte) *Error {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &answer) // an answer of something in between: the status says it
	e := &Error{Status: response.StatusCode, Code: answer.Code, Description: answer.Description, RequestID: response.Header.Get("X-Request-Id")}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// parse reads a successful answer (RFC 6749 section 5.1). The lifetime counts
// from before the request was sent, so that the token is never thought younger than it is.
func parse(body []byte, asked time.Time) (*oauth2.Token, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("agentidp: the answer is not JSON: %w", err)
	}
	if answer.AccessToken == "" || !strings.EqualFold(answer.TokenType, "Bearer") || answer.ExpiresIn <= 0 {
		return nil, errors.New("agentidp: the answer lacks a bearer token with a lifetime")
	}
	token := &oauth2.Token{
		AccessToken: answer.AccessToken, TokenType: "Bearer",
		Expiry: asked.Add(time.Duration(answer.ExpiresIn) * time.Second), ExpiresIn: answer.ExpiresIn,
	}
	return token.WithExtra(map[string]any{"scope": answer.Scope}), nil
}
