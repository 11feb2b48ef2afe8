package agentidp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// idp answers token requests in process, so that time can be synthetic.
type idp struct {
	answer func(n int64, r *http.Request) (status int, header http.Header, body string)
	calls  atomic.Int64
}

func (i *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header, body := i.answer(i.calls.Add(1), r)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func good(n int64) string {
	return fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":100,"scope":"notes:read"}`, n)
}

func source(t *testing.T, i *idp) *agentidp.TokenSource {
	t.Helper()
	s, err := agentidp.Config{
		URL: "https://idp.example.com/", ClientID: "id+1", ClientSecret: "se:cret", Resources: []string{"https://a", "https://b"},
		Scopes: []string{"notes:read", "notes:write"}, HTTPClient: &http.Client{Transport: i},
	}.TokenSource()
	require.NoError(t, err)
	return s
}

func TestTheRequestIsRFC6749(t *testing.T) {
	i := &idp{answer: func(n int64, r *http.Request) (int, http.Header, string) {
		id, secret, ok := r.BasicAuth()
		require.True(t, ok)
		require.Equal(t, url.QueryEscape("id+1"), id)
		require.Equal(t, url.QueryEscape("se:cret"), secret)
		require.Equal(t, "https://idp.example.com/api/v1/token", r.URL.String())
		require.NoError(t, r.ParseForm())
		require.Equal(t, url.Values{"grant_type": {"client_credentials"}, "resource": {"https://a", "https://b"}, "scope": {"notes:read notes:write"}}, r.PostForm)
		return 200, nil, good(n)
	}}
	token, err := source(t, i).Token()
	require.NoError(t, err)
	require.Equal(t, "token-1", token.AccessToken)
	require.Equal(t, "notes:read", token.Extra("scope"))
	require.WithinDuration(t, time.Now().Add(100*time.Second), token.Expiry, 5*time.Second)
}

func TestManyCallersShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &idp{answer: func(n int64, _ *http.Request) (int, http.Header, string) {
			time.Sleep(time.Second)
			return 200, nil, good(n)
		}}
		s := source(t, i)
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				token, err := s.Token()
				require.NoError(t, err)
				require.Equal(t, "token-1", token.AccessToken)
			})
		}
		callers.Wait()
		require.EqualValues(t, 1, i.calls.Load())
	})
}

func TestATokenIsReplacedBeforeItExpiresWithoutAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &idp{answer: func(n int64, _ *http.Request) (int, http.Header, string) {
			time.Sleep(time.Second)
			return 200, nil, good(n)
		}}
		s := source(t, i)
		_, err := s.Token()
		require.NoError(t, err)
		time.Sleep(91 * time.Second)
		began := time.Now()
		token, err := s.Token()
		require.NoError(t, err)
		require.Equal(t, "token-1", token.AccessToken)
		require.Zero(t, time.Since(began))
		time.Sleep(2 * time.Second)
		token, err = s.Token()
		require.NoError(t, err)
		require.Equal(t, "token-2", token.AccessToken)
	})
}

func TestAnExpiredTokenIsNeverGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &idp{answer: func(n int64, _ *http.Request) (int, http.Header, string) {
			if n > 1 {
				return 0, nil, ""
			}
			return 200, nil, good(n)
		}}
		s := source(t, i)
		_, err := s.Token()
		require.NoError(t, err)
		time.Sleep(94 * time.Second)
		_, err = s.Token()
		require.NoError(t, err, "good for five more seconds")
		time.Sleep(2 * time.Second)
		_, err = s.Token()
		require.ErrorContains(t, err, "connection refused")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = s.TokenContext(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Minute)
	})
}

func TestRetries(t *testing.T) {
	refuse := func(status int, header http.Header, body string) func(int64, *http.Request) (int, http.Header, string) {
		return func(n int64, _ *http.Request) (int, http.Header, string) {
			if n < 3 {
				return status, header, body
			}
			return 200, nil, good(n)
		}
	}
	retryAfter := http.Header{"Retry-After": {"2"}, "X-Request-Id": {"request-1"}}
	for name, row := range map[string]struct {
		answer func(int64, *http.Request) (int, http.Header, string)
		calls  int64
		code   string
		least  time.Duration
	}{
		"the IdP is away":             {refuse(0, nil, ""), 3, "", 0},
		"503 names a time":            {refuse(503, retryAfter, `{"error":"temporarily_unavailable"}`), 3, "", 4 * time.Second},
		"429 names a time":            {refuse(429, retryAfter, `{"error":"rate_limited"}`), 3, "", 4 * time.Second},
		"something else answers":      {refuse(502, nil, `<html>`), 3, "", 0},
		"a wrong secret stays wrong":  {refuse(401, retryAfter, `{"error":"invalid_client","error_description":"no"}`), 1, "invalid_client", 0},
		"a quota is not waited for":   {refuse(429, http.Header{"Retry-After": {"86400"}}, `{"error":"quota_exceeded"}`), 1, "quota_exceeded", 0},
		"nor is a day":                {refuse(503, http.Header{"Retry-After": {"86400"}}, `{"error":"temporarily_unavailable"}`), 1, "temporarily_unavailable", 0},
		"a suspended agent stays out": {refuse(400, nil, `{"error":"unauthorized_client"}`), 1, "unauthorized_client", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, began := &idp{answer: row.answer}, time.Now()
				_, err := source(t, i).Token()
				require.Equal(t, row.calls, i.calls.Load())
				require.GreaterOrEqual(t, time.Since(began), row.least)
				if row.code == "" {
					require.NoError(t, err)
					return
				}
				var refusal *agentidp.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, row.code, refusal.Code)
				require.NotContains(t, err.Error(), "se:cret")
			})
		})
	}
}

func TestAnswersThatAreNoToken(t *testing.T) {
	for _, body := range []string{"", "{}", `{"access_token":"x"}`, `{"access_token":"x","token_type":"DPoP","expires_in":5}`, `{"access_token":"x","token_type":"Bearer","expires_in":0}`} {
		synctest.Test(t, func(t *testing.T) {
			_, err := source(t, &idp{answer: func(int64, *http.Request) (int, http.Header, string) { return 200, nil, body }}).Token()
			require.ErrorContains(t, err, "agentidp: the answer")
		})
	}
}

func TestForget(t *testing.T) {
	i := &idp{answer: func(n int64, _ *http.Request) (int, http.Header, string) { return 200, nil, good(n) }}
	s := source(t, i)
	_, err := s.Token()
	require.NoError(t, err)
	s.Forget()
	token, err := s.Token()
	require.NoError(t, err)
	require.Equal(t, "token-2", token.AccessToken)
	require.NotNil(t, s.Client().Transport)
}

func TestFromEnvironment(t *testing.T) {
	_, err := agentidp.FromEnvironment()
	for _, name := range []string{"AGENTIDP_URL", "AGENTIDP_CLIENT_ID", "AGENTIDP_CLIENT_SECRET"} {
		require.ErrorContains(t, err, name)
		t.Setenv(name, "https://idp.example.com")
	}
	config, err := agentidp.FromEnvironment()
	require.NoError(t, err)
	_, err = config.WithResources("https://a").WithScopes("notes:read").TokenSource()
	require.NoError(t, err)
	_, err = agentidp.Config{}.TokenSource()
	require.Error(t, err)
}
