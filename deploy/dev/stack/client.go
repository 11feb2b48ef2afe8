package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Config is the client-credentials configuration of an unmodified
// golang.org/x/oauth2 client. Without resources the token is for the management API.
func (s *Stack) Config(c Credential, resources ...string) *clientcredentials.Config {
	config := &clientcredentials.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret,
		TokenURL: s.Issuer() + "/api/v1/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	if len(resources) > 0 {
		config.EndpointParams = url.Values{"resource": resources}
	}
	return config
}

// Client calls the management API as one agent.
type Client struct {
	http *http.Client
	base string
}

// Client logs in with the credential.
func (s *Stack) Client(ctx context.Context, c Credential) (*Client, error) {
	source := s.Config(c).TokenSource(ctx)
	if _, err := source.Token(); err != nil {
		return nil, fmt.Errorf("log in as %s: %w", c.ClientID, err)
	}
	return &Client{http: &http.Client{Transport: &oauth2.Transport{Source: source}, Timeout: 15 * time.Second}, base: s.Issuer()}, nil
}

// Answer is a whole HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do calls the API. body may be nil.
func (c *Client) Do(ctx context.Context, method, path string, body any) (Answer, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return Send(c.http, request)
}

// JSON calls the API, wants a 2xx and decodes the answer into out, unless out is nil.
func (c *Client) JSON(ctx context.Context, method, path string, body, out any) error {
	answer, err := c.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if answer.Status/100 != 2 {
		return fmt.Errorf("%s %s: %d %s", method, path, answer.Status, answer.Body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Send sends the request and reads the answer whole.
func Send(client *http.Client, request *http.Request) (Answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err)
	}
	defer response.Body.Close() //nolint:errcheck // read whole
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}
