package agentidp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func vectors[T any](t *testing.T, name string) (v T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../testdata", name))
	require.NoError(t, err)
	decoder := json.NewDecoder(strings.NewReader(string(content)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&v), name)
	return v
}

// transport answers in process, so that time can be synthetic.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, headers map[string]string, body string) *http.Response {
	header := http.Header{}
	for name, value := range headers {
		header.Set(name, value)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

func config(f transport) agentidp.Config {
	return agentidp.Config{URL: "https://idp.example.com", ClientID: "id", ClientSecret: "secret", HTTPClient: &http.Client{Transport: f}}
}

const tokenAnswer = `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`

func TestVectorsOfTokenResponses(t *testing.T) {
	type want struct {
		AccessToken string
		ExpiresIn   int64
		Scope       string
	}
	type refusal struct {
		Class, Code, Message, RequestID string
		Status                          int
	}
	for _, row := range vectors[struct {
		MaxLifetime int64
		Cases       []struct {
			Name    string
			Status  int
			Headers map[string]string
			Body    string
			PadTo   int
			Token   *want
			Error   *refusal
		}
	}](t, "token-responses.json").Cases {
		synctest.Test(t, func(t *testing.T) {
			body := row.Body + strings.Repeat(" ", max(0, row.PadTo-len(row.Body)))
			source, err := config(func(r *http.Request) (*http.Response, error) {
				require.Equal(t, "/api/v1/token", r.URL.Path, "no redirect is followed")
				return answer(r, row.Status, row.Headers, body), nil
			}).TokenSource()
			require.NoError(t, err)
			began := time.Now()
			token, err := source.Token()
			if row.Token != nil {
				require.NoError(t, err, row.Name)
				require.Equal(t, *row.Token, want{token.AccessToken, int64(token.Expiry.Sub(began) / time.Second), token.Extra("scope").(string)}, row.Name)
				return
			}
			var refused *agentidp.Error
			require.Error(t, err, row.Name)
			require.Equal(t, row.Error.Class == "refused", errors.As(err, &refused), row.Name)
			if refused != nil {
				require.Equal(t, *row.Error, refusal{"refused", refused.Code, refused.Message, refused.RequestID, refused.Status}, row.Name)
			}
		})
	}
}

func TestVectorsOfErrors(t *testing.T) {
	type want struct {
		Status        int
		Code, Message string
		Details       agentidp.Details
		RequestID     string
		RetryAfter    int64
		Temporary     bool
	}
	for _, row := range vectors[struct {
		Cases []struct {
			Name    string
			Status  int
			Headers map[string]string
			Body    string
			Error   want
		}
	}](t, "errors.json").Cases {
		synctest.Test(t, func(t *testing.T) {
			client, err := agentidp.NewClient(config(func(r *http.Request) (*http.Response, error) {
				require.Equal(t, "/.well-known/oauth-authorization-server", r.URL.Path, "no redirect is followed")
				return answer(r, row.Status, row.Headers, row.Body), nil
			}))
			require.NoError(t, err)
			_, err = client.Metadata(t.Context())
			var refused *agentidp.Error
			require.ErrorAs(t, err, &refused, row.Name)
			require.Equal(t, row.Error, want{
				refused.Status, refused.Code, refused.Message, refused.Details, refused.RequestID, int64(refused.RetryAfter / time.Second), refused.Temporary(),
			}, row.Name)
		})
	}
}

type retryAnswer struct {
	Connection, Code, RetryAfter, Date string
	Body                               *string
	Status                             int
}

func (a retryAnswer) body(operation string, n int64) string {
	oauth := operation == "token" || operation == "introspect"
	switch {
	case a.Body != nil:
		return *a.Body
	case a.Status == http.StatusNoContent:
		return ""
	case a.Status/100 == 2 && operation == "token":
		return fmt.Sprintf(tokenAnswer, n)
	case a.Status/100 == 2 && operation == "introspect":
		return `{"active":false}`
	case a.Status/100 == 2:
		return "{}"
	case a.Code == "":
		return ""
	case oauth:
		return fmt.Sprintf(`{"error":%q}`, a.Code)
	}
	return fmt.Sprintf(`{"code":%q,"message":"m","details":{}}`, a.Code)
}

// operations are what a row repeats, with one token source or client.
var operations = map[string]func(context.Context, *agentidp.Client) error{
	"get": func(ctx context.Context, c *agentidp.Client) error {
		_, err := c.Agent(ctx, "a")
		return err
	},
	"post": func(ctx context.Context, c *agentidp.Client) error {
		_, err := c.CreateAgent(ctx, agentidp.NewAgent{})
		return err
	},
	"patch": func(ctx context.Context, c *agentidp.Client) error {
		_, err := c.UpdateAgent(ctx, "a", agentidp.AgentPatch{Owner: "o"})
		return err
	},
	"delete": func(ctx context.Context, c *agentidp.Client) error { return c.DecommissionAgent(ctx, "a", "") },
	"introspect": func(ctx context.Context, c *agentidp.Client) error {
		_, err := c.Introspect(ctx, "t")
		return err
	},
}

func perform(t *testing.T, given agentidp.Config, operation string) error {
	t.Helper()
	if operation == "token" {
		source, err := given.TokenSource()
		require.NoError(t, err)
		_, err = source.Token()
		return err
	}
	client, err := agentidp.NewClient(given)
	require.NoError(t, err)
	return operations[operation](t.Context(), client)
}

func TestVectorsOfRetries(t *testing.T) {
	for _, row := range vectors[struct {
		Attempts, MaxRetryAfter int
		Cases                   []struct {
			Name, Operation, Result, Code string
			Answers                       []retryAnswer
			Attempts, Status              int
			Tokens                        int64
			Pauses                        [][2]float64
		}
	}](t, "retries.json").Cases {
		synctest.Test(t, func(t *testing.T) {
			var at []time.Time
			var tokens int64
			keys := map[string]bool{}
			given := config(func(r *http.Request) (*http.Response, error) {
				if row.Operation != "token" && r.URL.Path == "/api/v1/token" {
					tokens++
					return answer(r, 200, nil, fmt.Sprintf(tokenAnswer, tokens)), nil
				}
				at = append(at, time.Now())
				keys[r.Header.Get("Idempotency-Key")] = true
				require.LessOrEqual(t, len(at), len(row.Answers), row.Name)
				a := row.Answers[len(at)-1]
				if a.Connection != "" {
					return nil, errors.New("connection " + a.Connection)
				}
				headers := map[string]string{"Retry-After": a.RetryAfter, "Date": a.Date}
				maps.DeleteFunc(headers, func(_, value string) bool { return value == "" })
				return answer(r, a.Status, headers, a.body(row.Operation, int64(len(at)))), nil
			})
			err := perform(t, given, row.Operation)
			require.Len(t, at, row.Attempts, row.Name)
			for i, bounds := range row.Pauses {
				pause := at[i+1].Sub(at[i]).Seconds()
				require.GreaterOrEqual(t, pause, bounds[0], row.Name)
				require.LessOrEqual(t, pause, bounds[1], row.Name)
			}
			require.Len(t, keys, 1, row.Name)
			require.Equal(t, row.Operation == "post", !keys[""], row.Name)
			if row.Tokens > 0 {
				require.Equal(t, row.Tokens, tokens, row.Name)
			}
			var refused *agentidp.Error
			switch row.Result {
			case "success":
				require.NoError(t, err, row.Name)
			case "refused":
				require.ErrorAs(t, err, &refused, row.Name)
				require.Equal(t, row.Status, refused.Status, row.Name)
				require.Equal(t, row.Code, refused.Code, row.Name)
			case "connection":
				require.ErrorContains(t, err, "connection refused", row.Name)
			case "invalid_answer":
				require.ErrorContains(t, err, "the answer", row.Name)
			default:
				require.Fail(t, row.Result)
			}
		})
	}
}

func TestVectorsOfRefreshing(t *testing.T) {
	type step struct {
		At             int64
		Answer, Expect string
	}
	for _, row := range vectors[struct {
		RefreshAfter               []float64
		LastUse, PauseAfterFailure int
		Scenarios                  []struct {
			Name      string
			ExpiresIn int
			Steps     []step
		}
	}](t, "refresh.json").Scenarios {
		synctest.Test(t, func(t *testing.T) {
			var now step
			var requests, tokens int64
			source, err := config(func(r *http.Request) (*http.Response, error) {
				requests++
				if now.Answer != "good" {
					return answer(r, 400, nil, `{"error":"unauthorized_client"}`), nil
				}
				tokens++
				return answer(r, 200, nil, fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, tokens, row.ExpiresIn)), nil
			}).TokenSource()
			require.NoError(t, err)
			start := time.Now()
			for _, now = range row.Steps {
				what := fmt.Sprintf("%s, at %d", row.Name, now.At)
				time.Sleep(time.Until(start.Add(time.Duration(now.At) * time.Second)))
				asked, newest := requests, tokens
				token, err := source.Token()
				synctest.Wait()
				begun := requests - asked
				if now.Expect == "error" {
					var refused *agentidp.Error
					require.ErrorAs(t, err, &refused, what)
					require.EqualValues(t, 1, begun, what)
					continue
				}
				require.NoError(t, err, what)
				want := map[string][2]int64{"new": {newest + 1, 1}, "cached": {newest, 0}, "ahead": {newest, 1}}[now.Expect]
				require.Equal(t, fmt.Sprintf("token-%d", want[0]), token.AccessToken, what)
				require.Equal(t, want[1], begun, what)
			}
		})
	}
}

// testKeys are PEM, by name.
func testKeys(t *testing.T) map[string]string {
	t.Helper()
	return vectors[struct {
		Warning     string
		PrivateKeys map[string]string
	}](t, "keys.json").PrivateKeys
}

func TestVectorsOfCredentials(t *testing.T) {
	keys := testKeys(t)
	type want struct{ URL, ClientID, ClientSecret, Algorithm, KeyID string }
	for _, row := range vectors[struct {
		Cases []struct {
			Name       string
			Env, Files map[string]string
			Expect     *want
			Problem    []string
		}
	}](t, "credentials.json").Cases {
		folder := t.TempDir()
		for name, content := range row.Files {
			if key, ok := strings.CutPrefix(content, "@"); ok {
				content = keys[key]
			}
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
		}
		got, err := agentidp.FromLookup(func(name string) string {
			if value := row.Env[name]; value != "" && strings.HasSuffix(name, "_FILE") {
				return filepath.Join(folder, value)
			}
			return row.Env[name]
		})
		if row.Expect == nil {
			for _, part := range row.Problem {
				require.ErrorContains(t, err, part, row.Name)
			}
			require.NotContains(t, err.Error(), "aidp_sk_1", row.Name)
			continue
		}
		require.NoError(t, err, row.Name)
		found := want{URL: got.URL, ClientID: got.ClientID, ClientSecret: got.ClientSecret}
		if got.PrivateKey != nil {
			header, _, _ := asserted(t, got)
			found.Algorithm, found.KeyID = header["alg"].(string), header["kid"].(string)
		}
		require.Equal(t, *row.Expect, found, row.Name)
	}
}

// asserted asks for a token, and verifies the assertion that the IdP is sent.
func asserted(t *testing.T, c agentidp.Config) (header, claims map[string]any, form map[string]string) {
	t.Helper()
	form = map[string]string{}
	c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		require.Empty(t, r.Header.Get("Authorization"))
		require.NoError(t, r.ParseForm())
		for name := range r.PostForm {
			form[name] = r.PostForm.Get(name)
		}
		return answer(r, 200, nil, fmt.Sprintf(tokenAnswer, 1)), nil
	})}
	source, err := c.TokenSource()
	require.NoError(t, err)
	_, err = source.Token()
	require.NoError(t, err)
	parsed, err := jwt.Parse(form["client_assertion"], func(*jwt.Token) (any, error) { return c.PrivateKey.Public(), nil }, jwt.WithoutClaimsValidation())
	require.NoError(t, err)
	return parsed.Header, parsed.Claims.(jwt.MapClaims), form
}

func TestVectorsOfClientAssertions(t *testing.T) {
	keys := testKeys(t)
	all := vectors[struct {
		Now           int64
		AssertionType string
		Lifetime      int64
		Cases         []struct {
			Name, Key, URL, ClientID string
			KeyID                    *string
			Header, Claims           map[string]any
		}
		RefusedKeys []string
	}](t, "client-assertion.json")
	for _, row := range all.Cases {
		key, err := agentidp.ParsePrivateKey([]byte(keys[row.Key]))
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Unix(all.Now, 0)))
			given := agentidp.Config{URL: row.URL, ClientID: row.ClientID, PrivateKey: key}
			if row.KeyID != nil {
				given.KeyID = *row.KeyID
			}
			header, claims, form := asserted(t, given)
			require.Equal(t, row.Header, header, row.Name)
			require.Equal(t, all.AssertionType, form["client_assertion_type"])
			require.ElementsMatch(t, []string{"grant_type", "client_assertion_type", "client_assertion"}, slices.Collect(maps.Keys(form)))
			id := claims["jti"].(string)
			require.True(t, len(id) >= 16 && len(id) <= 128)
			delete(claims, "jti")
			require.Equal(t, row.Claims, claims, row.Name)
			_, again, _ := asserted(t, given)
			require.NotEqual(t, id, again["jti"])
		})
	}
	for _, name := range all.RefusedKeys {
		_, err := agentidp.ParsePrivateKey([]byte(keys[name]))
		require.Error(t, err, name)
	}
}
