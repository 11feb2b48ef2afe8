package idptest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
)

func TestTheIdPKeepsItsDataAndAddressOverARestart(t *testing.T) {
	idp := idptest.Start(t)
	agent := idp.Register("agent@example.com", "notes:read")
	url := idp.URL
	idp.Stop()
	idp.Stop()
	idp.Start()
	require.Equal(t, url, idp.URL)
	require.NotEmpty(t, idp.Token(agent, "https://notes.example.com"))
	status, _ := idp.CallAs(agent, http.MethodGet, "/api/v1/agents/"+agent.AgentID, nil)
	require.Equal(t, http.StatusOK, status)
	status, _ = idp.CallAs(agent, http.MethodGet, "/api/v1/agents", nil)
	require.Equal(t, http.StatusForbidden, status)
}

func TestARestartForgetsNoRevocation(t *testing.T) {
	idp := idptest.Start(t)
	agent := idp.Register("agent@example.com", "notes:read")
	token := idp.Token(agent, "https://notes.example.com")
	active := func() (active bool) {
		t.Helper()
		answer, err := http.PostForm(idp.URL+"/api/v1/token/introspect", url.Values{
			"token": {token}, "client_id": {agent.ClientID}, "client_secret": {agent.ClientSecret},
		})
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode, string(body))
		return strings.Contains(string(body), `"active":true`)
	}
	require.True(t, active())
	idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "suspended"}, nil)
	idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "active"}, nil)
	require.False(t, active())
	idp.Stop()
	idp.Start()
	require.False(t, active())
}
