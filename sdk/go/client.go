package agentidp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	callTimeout = 30 * time.Second // of one attempt, with its answer
	callBudget  = 60 * time.Second // of all attempts, their pauses, and the wait for tokens
	maxCall     = 16 << 20         // bytes of an answer: a page of the largest events
)

// Client calls the management API. It is safe for concurrent use. Refusals are
// an *Error.
type Client struct {
	base   string
	http   *http.Client
	tokens *TokenSource
	noWay  error // why there are no tokens; nil when there are
}

// NewClient checks the configuration; it calls nobody. Without a client id the
// client can call what is public. Resources of the configuration are for other
// APIs and left out; its Scopes bound what the client may do.
func NewClient(config Config) (*Client, error) {
	if err := config.validateURL(); err != nil {
		return nil, fmt.Errorf("agentidp: %w", err)
	}
	tokens, noWay := config.WithResources().TokenSource()
	return newClient(config, tokens, noWay), nil
}

func newClient(config Config, tokens *TokenSource, noWay error) *Client {
	calls := &http.Client{CheckRedirect: noRedirect} // every call has its own deadline
	if config.HTTPClient != nil {
		calls.Transport = config.HTTPClient.Transport
	}
	return &Client{base: config.issuer(), http: calls, tokens: tokens, noWay: noWay}
}

// URL is the address of the IdP, without a slash at its end.
func (c *Client) URL() string { return c.base }

// AccessToken is the token that the client's calls carry.
func (c *Client) AccessToken(ctx context.Context) (string, error) {
	if c.noWay != nil {
		return "", c.noWay
	}
	token, err := c.tokens.TokenContext(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// call is one request of the management API.
type call struct {
	method, path string
	query        url.Values
	body         any    // sent as JSON; nil: none
	form         string // sent instead of body
	public       bool   // needs no token
	repeatable   bool   // doing it twice is doing it once
	accept       string // default: application/json
	takes        int    // a status beside 2xx whose body is an answer; 0: none
}

// do makes the call and decodes its answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, do call, out any) error {
	body, err := c.bytes(ctx, do)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("agentidp: the answer of %s is not what it should be: %w", do.path, err)
	}
	return nil
}

// bytes makes the call. It is repeated after a broken connection, or a 429 or 503 that
// names no long pause, if that does no harm, and once with another token after a 401.
// A token request has had its own attempts: for one that failed, nothing is repeated.
func (c *Client) bytes(ctx context.Context, do call) ([]byte, error) {
	idempotencyKey := ""
	if do.method == http.MethodPost && do.body != nil && !do.repeatable {
		idempotencyKey, do.repeatable = rand.Text(), true // the IdP does it once (docs/openapi.yaml)
	}
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	unauthorized := false
	return retry(ctx, func(err error) bool {
		var without *noToken
		if errors.As(err, &without) {
			return false
		}
		var nobody *noAnswer
		if errors.As(err, &nobody) {
			return do.repeatable && !errors.Is(err, context.DeadlineExceeded)
		}
		var refused *Error
		if !errors.As(err, &refused) {
			return false
		}
		if refused.Status == http.StatusUnauthorized && !do.public && c.noWay == nil && !unauthorized && refused.Code == CodeUnauthenticated {
			unauthorized = true
			c.tokens.Forget()
			return true
		}
		return do.repeatable && refused.Code != codeQuotaExceeded &&
			(refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusServiceUnavailable)
	}, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		response, err := c.send(ctx, do, idempotencyKey)
		if err != nil {
			return nil, err
		}
		if response.StatusCode == do.takes {
			response.StatusCode = http.StatusOK
		}
		return readAnswer(response, maxCall)
	})
}

// send leaves the answer open.
func (c *Client) send(ctx context.Context, do call, idempotencyKey string) (*http.Response, error) {
	content, contentType, err := do.content()
	if err != nil {
		return nil, err
	}
	address := c.base + do.path
	if len(do.query) > 0 {
		address += "?" + do.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, do.method, address, content)
	if err != nil {
		return nil, fmt.Errorf("agentidp: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if do.accept != "" {
		request.Header.Set("Accept", do.accept)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	if !do.public {
		token, err := c.AccessToken(ctx)
		if err != nil {
			return nil, &noToken{err}
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, &noAnswer{err}
	}
	return response, nil
}

// noToken is a call that was not made, for want of a token.
type noToken struct{ cause error }

func (e *noToken) Error() string { return e.cause.Error() }
func (e *noToken) Unwrap() error { return e.cause }

func (do call) content() (io.Reader, string, error) {
	if do.form != "" {
		return strings.NewReader(do.form), "application/x-www-form-urlencoded", nil
	}
	if do.body == nil {
		return http.NoBody, "", nil
	}
	content, err := json.Marshal(do.body)
	if err != nil {
		return nil, "", fmt.Errorf("agentidp: request of %s: %w", do.path, err)
	}
	return bytes.NewReader(content), "application/json", nil
}

func get(path string, query url.Values) call {
	return call{method: http.MethodGet, path: path, query: query, repeatable: true}
}

// publicly is do without a token.
func publicly(do call) call {
	do.public = true
	return do
}

// post is a call that the IdP does once however often it is sent, by its
// Idempotency-Key.
func post(path string, body any) call {
	return call{method: http.MethodPost, path: path, body: body}
}

// segment is text as one part of a path.
func segment(text string) string { return url.PathEscape(text) }
