package agentidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	maxTokenAnswer = 64 << 10 // bytes
	maxLifetime    = 86_400   // seconds that a token is believed to live
)

// tokenTimeout is of one attempt, with its answer.
const tokenTimeout = 10 * time.Second

// noAnswer is a request that nobody answered.
type noAnswer struct{ cause error }

func (e *noAnswer) Error() string { return "agentidp: no answer: " + e.cause.Error() }
func (e *noAnswer) Unwrap() error { return e.cause }

// request asks for a token, and again after a pause when the IdP is away,
// overloaded or limits the rate: no answer, no token, so asking twice does no harm.
func (c Config) request(ctx context.Context) (*oauth2.Token, error) {
	return retry(ctx, func(err error) bool {
		var refused *Error
		if errors.As(err, &refused) {
			return refused.Temporary()
		}
		var nobody *noAnswer
		return errors.As(err, &nobody)
	}, c.once)
}

func (c Config) once(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	asked := time.Now()
	request, err := c.tokenRequest(ctx, asked)
	if err != nil {
		return nil, err
	}
	response, err := c.client().Do(request)
	if err != nil {
		return nil, &noAnswer{err}
	}
	body, err := readAnswer(response, maxTokenAnswer)
	if err != nil {
		return nil, err
	}
	return parse(body, asked)
}

// tokenRequest proves the client anew: an assertion is good for one request.
func (c Config) tokenRequest(ctx context.Context, now time.Time) (*http.Request, error) {
	form := c.form()
	if c.PrivateKey != nil {
		assertion, err := c.assertion(now)
		if err != nil {
			return nil, err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.tokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("agentidp: %w", err)
	}
	if c.PrivateKey == nil {
		// RFC 6749 section 2.3.1: both parts are form-encoded first.
		request.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// readAnswer reads and closes a whole answer: the body of a 2xx, else an *Error.
func readAnswer(response *http.Response, limit int64) ([]byte, error) {
	defer response.Body.Close() //nolint:errcheck // read as far as wanted
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, &noAnswer{fmt.Errorf("it broke off: %w", err)}
	}
	if response.StatusCode/100 != 2 {
		return nil, refusal(response, body)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("agentidp: the answer is larger than %d bytes", limit)
	}
	return body, nil
}

// parse reads a successful answer (RFC 6749 section 5.1). The lifetime counts
// from before the request was sent, so that the token is never thought younger than it is.
func parse(body []byte, asked time.Time) (*oauth2.Token, error) {
	var answer TokenResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("agentidp: the answer is not JSON: %w", err)
	}
	if answer.AccessToken == "" || !strings.EqualFold(answer.TokenType, "Bearer") || answer.ExpiresIn <= 0 {
		return nil, errors.New("agentidp: the answer lacks a bearer token with a lifetime")
	}
	life := min(answer.ExpiresIn, maxLifetime)
	token := &oauth2.Token{
		AccessToken: answer.AccessToken, TokenType: "Bearer",
		Expiry: asked.Add(time.Duration(life) * time.Second), ExpiresIn: life,
	}
	return token.WithExtra(map[string]any{"scope": answer.Scope}), nil
}
