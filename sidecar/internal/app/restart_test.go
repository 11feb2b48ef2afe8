package app_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
)

// What was revoked before the IdP ended is refused by a sidecar that never heard
// of it: one with an empty folder, started after the IdP's restart.
func TestANewSidecarKnowsWhatWasRevokedBeforeTheIdPRestarted(t *testing.T) {
	idp := idptest.Start(t)
	s := newStage(t, idp)
	suspended, dead := s.reader()
	reader, one := s.reader()
	other := idp.Token(reader, audience)
	holder, held := s.reader()
	idp.Call(http.MethodPatch, "/api/v1/agents/"+suspended.AgentID, map[string]any{"status": "suspended"}, nil)
	idp.Call(http.MethodDelete, "/api/v1/agents/"+holder.AgentID+"/credentials/"+holder.CredentialID+"?revokeTokens=true", nil, nil)
	answer, err := http.PostForm(idp.URL+"/api/v1/token/revoke", url.Values{
		"token": {one}, "client_id": {reader.ClientID}, "client_secret": {reader.ClientSecret},
	})
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)

	http.DefaultClient.CloseIdleConnections()
	idp.Stop()
	idp.Start()
	s.start()
	s.is(s.get("/notes", dead), 401, "agent_revoked")
	s.is(s.get("/notes", held), 401, "credential_revoked")
	s.is(s.get("/notes", one), 401, "token_revoked")
	s.is(s.get("/notes", other), 200, "")
}
