package agentidp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// authenticated is a source that gives token-1, token-2, …, and its client over api.
func authenticated(t *testing.T, api transport) *http.Client {
	t.Helper()
	tokens := 0
	source, err := config(func(r *http.Request) (*http.Response, error) {
		tokens++
		return answer(r, 200, nil, fmt.Sprintf(tokenAnswer, tokens)), nil
	}).TokenSource()
	require.NoError(t, err)
	return &http.Client{Transport: &agentidp.Transport{Source: source, Base: api}}
}

func TestARefusedTokenIsReplacedAndTheRequestSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		dead := map[string]bool{"Bearer token-1": true}
		client := authenticated(t, func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			seen = append(seen, r.Header.Get("Authorization")+" "+string(body))
			if dead[r.Header.Get("Authorization")] {
				return answer(r, 401, nil, "no"), nil
			}
			return answer(r, 200, nil, "yes"), nil
		})
		post := func(body io.Reader) int {
			response, err := client.Post("https://api.example.com/", "text/plain", body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			return response.StatusCode
		}
		require.Equal(t, 200, post(strings.NewReader("a")))
		require.Equal(t, []string{"Bearer token-1 a", "Bearer token-2 a"}, seen)

		dead["Bearer token-2"], seen = true, nil
		require.Equal(t, 401, post(strings.NewReader("b")), "one token in ten seconds")
		require.Equal(t, []string{"Bearer token-2 b"}, seen)
		time.Sleep(10 * time.Second)
		require.Equal(t, 401, post(io.MultiReader(strings.NewReader("c"))), "a body that can be read once is sent once")
		require.Equal(t, 200, post(strings.NewReader("d")))
	})
}

func TestATokenGoesToTheFirstOriginAlone(t *testing.T) {
	seen := map[string]string{}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen["elsewhere"] = r.Header.Get("Authorization") }))
	defer elsewhere.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen[r.URL.Path] = r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/first":
			http.Redirect(w, r, "/second", http.StatusFound)
		case "/second":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer api.Close()
	response, err := authenticated(t, http.DefaultTransport.RoundTrip).Get(api.URL + "/first")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, map[string]string{"/first": "Bearer token-1", "/second": "Bearer token-1", "elsewhere": ""}, seen)
}

func TestWithoutATokenNothingIsSent(t *testing.T) {
	source, err := config(func(r *http.Request) (*http.Response, error) {
		return answer(r, 400, nil, `{"error":"unauthorized_client"}`), nil
	}).TokenSource()
	require.NoError(t, err)
	client := &http.Client{Transport: &agentidp.Transport{Source: source, Base: transport(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("sent")
	})}}
	_, err = client.Post("https://api.example.com/", "text/plain", strings.NewReader("a"))
	var refused *agentidp.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "unauthorized_client", refused.Code)
}

func TestATokenThatExpiresOnItsWayIsNotGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, err := config(func(r *http.Request) (*http.Response, error) {
			time.Sleep(4 * time.Second)
			return answer(r, 200, nil, `{"access_token":"late","token_type":"Bearer","expires_in":3}`), nil
		}).TokenSource()
		require.NoError(t, err)
		_, err = source.Token()
		require.ErrorContains(t, err, "expired")
	})
}

// A Base of somebody's own may not say whose answer it gives; the token stays here all the same.
func TestARedirectOfAnUnknownOriginGetsNoToken(t *testing.T) {
	source, err := agentidp.Config{URL: "https://idp.example.com", ClientID: "c", ClientSecret: "s"}.TokenSource()
	require.NoError(t, err)
	var sent []string
	client := &http.Client{Transport: &agentidp.Transport{Source: source, Base: transport(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Authorization"))
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	})}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://elsewhere.example/", nil)
	require.NoError(t, err)
	request.Response = &http.Response{StatusCode: http.StatusFound}
	answer, err := client.Transport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, []string{""}, sent)
}
