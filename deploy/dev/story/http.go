package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/sentryagent/agentidp/deploy/dev/notes"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// send sends a request to the sidecar. An empty token sends none.
func (p *play) send(ctx context.Context, method, path, token, body string) (stack.Answer, error) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.Resource()+path, content)
	if err != nil {
		return stack.Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return stack.Send(p.http, request)
}

// seen is how many requests reached the notes API so far.
func (p *play) seen(ctx context.Context) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Notes+"/healthz", nil)
	if err != nil {
		return 0, fmt.Errorf("ask the notes API: %w", err)
	}
	answer, err := stack.Send(p.http, request)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(answer.Header.Get(notes.CallsHeader), 10, 64)
}

// tokenFor gets a token with golang.org/x/oauth2, unmodified.
func (p *play) tokenFor(ctx context.Context, c stack.Credential, resource string) (string, error) {
	token, err := p.Config(c, resource).Token(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token: %w", err)
	}
	return token.AccessToken, nil
}

// refusedToken wants the token endpoint to refuse with the status and OAuth error.
func (p *play) refusedToken(ctx context.Context, c stack.Credential, status int, code string) error {
	_, err := p.Config(c, p.Resource()).Token(ctx)
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) {
		return fmt.Errorf("a token was issued or the failure is another: %w", err)
	}
	if refusal.Response.StatusCode != status || refusal.ErrorCode != code {
		return fmt.Errorf("refused with %d %s, want %d %s", refusal.Response.StatusCode, refusal.ErrorCode, status, code)
	}
	return nil
}

func (p *play) patch(ctx context.Context, agentID string, change map[string]any) error {
	return p.admin.JSON(ctx, http.MethodPatch, "/api/v1/agents/"+agentID, change, nil)
}

// revoke sends RFC 7009 with the client's own authentication.
func (p *play) revoke(ctx context.Context, c stack.Credential, token string) error {
	form := url.Values{"token": {token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Issuer()+"/api/v1/token/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	answer, err := stack.Send(p.http, request)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("revoke: %d %s", answer.Status, answer.Body)
	}
	return err
}
