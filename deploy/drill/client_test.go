package drill_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client calls one IdP, and logs in by itself.
type client struct {
	base string
	http *http.Client
	mu   sync.Mutex // guards admin
	// admin is the administrator's token; "" until it is asked for.
	admin string
}

func newClient(t *testing.T, base string) *client {
	c := &client{base: base, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: patience}}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// answer to one request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) good() bool { return a.status/100 == 2 }

// busy reports whether nothing was done, and the caller should come back.
func (a *answer) busy() bool {
	return a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" && a.member("reason") != "outcome_unknown"
}

// member of the object in the body; "" if that is not a string.
func (a *answer) member(name string) string {
	var members map[string]any
	if json.Unmarshal(a.body, &members) != nil {
		return ""
	}
	text, _ := members[name].(string)
	return text
}

// request is sent once. Body is a form at /token, else JSON.
type request struct {
	method, path, body string
	authorization      string // "": the administrator's
	header             http.Header
}

func (c *client) do(r request) (a answer, err error) {
	if a, err = c.send(r, r.authorization); err == nil && a.status == http.StatusUnauthorized && r.authorization == "" {
		c.mu.Lock()
		c.admin = "" // it was of the keys before
		c.mu.Unlock()
		a, err = c.send(r, "")
	}
	return a, err
}

func (c *client) send(r request, authorization string) (a answer, err error) {
	if authorization == "" {
		if authorization, err = c.bearer(); err != nil {
			return a, err
		}
	}
	request, err := http.NewRequest(r.method, c.base+r.path, strings.NewReader(r.body))
	if err != nil {
		return a, err
	}
	request.GetBody = nil // net/http must not repeat what may have been done
	request.Header.Set("Authorization", authorization)
	switch {
	case strings.HasPrefix(r.path, "/api/v1/token"):
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case r.body != "":
		request.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.header {
		request.Header[name] = values
	}
	response, err := c.http.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a = answer{status: response.StatusCode, header: response.Header}
	a.body, err = io.ReadAll(response.Body)
	return a, err
}

func (c *client) bearer() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admin == "" {
		a, err := c.send(request{method: http.MethodPost, path: "/api/v1/token", body: "grant_type=client_credentials"}, basic(adminID, adminSecret))
		if err != nil {
			return "", err
		}
		if c.admin = a.member("access_token"); c.admin == "" {
			return "", fmt.Errorf("the administrator's token: %d %s", a.status, a.body)
		}
	}
	return "Bearer " + c.admin, nil
}

func basic(clientID, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID)+":"+url.QueryEscape(secret)))
}

// must is do with an answer that says yes; one that is busy is asked again.
func (c *client) must(t *testing.T, r request) (a answer) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		a, err = c.do(r)
		require.NoError(t, err)
		return !a.busy()
	}, patience, 5*time.Millisecond, "%s %s is busy", r.method, r.path)
	require.True(t, a.good(), "%s %s: %d %s", r.method, r.path, a.status, a.body)
	return a
}

// tokenOf asks for a token; status is 200 when there is one.
func (c *client) tokenOf(t *testing.T, clientID, secret, resource string) (status int, token string) {
	t.Helper()
	body := "grant_type=client_credentials"
	if resource != "" {
		body += "&resource=" + url.QueryEscape(resource)
	}
	a, err := c.do(request{method: http.MethodPost, path: "/api/v1/token", body: body, authorization: basic(clientID, secret)})
	require.NoError(t, err)
	return a.status, a.member("access_token")
}

// active asks whether a token is.
func (c *client) active(t *testing.T, token string) bool {
	t.Helper()
	a := c.must(t, request{method: http.MethodPost, path: "/api/v1/token/introspect", body: "token=" + token, authorization: basic(adminID, adminSecret)})
	var state struct{ Active bool }
	require.NoError(t, json.Unmarshal(a.body, &state))
	return state.Active
}

// kids are those of the key set.
func (c *client) kids(t *testing.T) (kids []string) {
	t.Helper()
	var set struct{ Keys []struct{ KID string } }
	a := c.must(t, request{method: http.MethodGet, path: "/.well-known/jwks.json"})
	require.NoError(t, json.Unmarshal(a.body, &set))
	for _, key := range set.Keys {
		kids = append(kids, key.KID)
	}
	return kids
}
