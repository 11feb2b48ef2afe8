package proxytest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Both proxies forward what the sidecar allows, with what it says, and nothing else.
func TestServersAsk(t *testing.T) {
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Agent-Id", "agent")
	}))
	t.Cleanup(auth.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RequestURI+" of "+r.Header.Get("X-Agent-Id"))
	}))
	t.Cleanup(api.Close)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	for name, start := range map[string]func(testing.TB, string, string) string{"nginx": proxytest.Nginx, "caddy": proxytest.Caddy} {
		t.Run(name, func(t *testing.T) {
			address := start(t, api.URL, auth.URL)
			for credential, want := range map[string]string{"": "", "Bearer x": "/notes?a=b of agent"} {
				request, err := http.NewRequest(http.MethodGet, "http://"+address+"/notes?a=b", nil)
				require.NoError(t, err)
				if credential != "" {
					request.Header.Set("Authorization", credential)
				}
				answer, err := client.Do(request)
				require.NoError(t, err)
				body, err := io.ReadAll(answer.Body)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				if want == "" {
					require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
				} else {
					require.Equal(t, want, string(body))
				}
			}
		})
	}
}

// Debian has nginx where the PATH of an ordinary user does not look.
func TestNginxOffThePath(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	require.NotEmpty(t, proxytest.Nginx(t, "http://127.0.0.1:1", "http://127.0.0.1:1"))
}
