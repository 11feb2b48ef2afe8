package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each answer that may be ordered at will waits in its line, all others in none.
func TestWhatMayBeOrderedAtWillWaits(t *testing.T) {
	w := newWorld(t, setting{})
	basic, bearer := w.vars["admin.basic"], "Bearer "+w.token("admin", w.set.issuer)
	request := func(method, path, authorization string, form url.Values) func() int {
		return func() int {
			request, err := http.NewRequestWithContext(t.Context(), method, w.base+path, strings.NewReader(form.Encode()))
			if !assert.NoError(t, err) {
				return 0
			}
			if form != nil {
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if authorization != "" {
				request.Header.Set("Authorization", authorization)
			}
			response, err := w.http.Do(request)
			if !assert.NoError(t, err) {
				return 0
			}
			assert.NoError(t, response.Body.Close())
			return response.StatusCode
		}
	}
	about := func(token string) func() int {
		return request(http.MethodPost, "/api/v1/token/introspect", basic, url.Values{"token": {token}})
	}
	agents := func(authorization string) func() int {
		return request(http.MethodGet, "/api/v1/agents", authorization, nil)
	}
	type asked struct {
		status int
		ask    func() int
	}
	strangers := []asked{
		{401, agents(bearer + "x")},
		{401, agents("")},
		{404, request(http.MethodGet, "/nowhere", "", nil)},
		{401, request(http.MethodPost, "/api/v1/token", basicOf("aidp_c_0123456789abcdefghijkl", "no"), url.Values{"grant_type": {"client_credentials"}})},
		{400, request(http.MethodPost, "/api/v1/token", "", url.Values{})},
	}
	known := []asked{
		{200, agents(bearer)},
		{404, request(http.MethodGet, "/api/v1/agents/00000000-0000-4000-8000-000000000000", bearer, nil)},
		{200, request(http.MethodGet, "/health", "", nil)},
		{200, about(strings.TrimPrefix(bearer, "Bearer "))},
	}
	ended := asked{200, about("nonsense")}
	waits := func(whose string, waiting, passing []asked) {
		t.Helper()
		for i, one := range waiting {
			leave, err := w.api.OccupyLine(t.Context(), whose)
			require.NoError(t, err)
			answered := make(chan int, 1)
			go func() { answered <- one.ask() }()
			require.Eventually(t, func() bool { return w.api.Waiting() == 1 }, 4*time.Second, time.Millisecond, "%d", i)
			for j, one := range passing {
				require.Equal(t, one.status, one.ask(), "%d", j)
			}
			leave()
			require.Equal(t, one.status, <-answered, "%d", i)
		}
	}
	waits("", strangers, append(known, ended))
	waits(w.vars["admin.agent"], []asked{ended}, append(known, strangers...))
}
