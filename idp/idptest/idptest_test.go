package idptest_test

import (
	"net/http"
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
