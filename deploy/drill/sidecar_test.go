package drill_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// enrolled is an agent with a credential.
type enrolled struct{ agent, credential, clientID, secret string }

func (c *client) enrol(t *testing.T, name, kind, capabilities string) (e enrolled) {
	t.Helper()
	made := c.must(t, request{method: http.MethodPost, path: "/api/v1/agents", body: fmt.Sprintf(
		`{"email":"%s@example.com","agentType":"%s","version":"1.0.0","owner":"drill","deploymentEnv":"production","capabilities":[%s]}`, name, kind, capabilities)})
	e.agent = made.member("agentId")
	made = c.must(t, request{method: http.MethodPost, path: "/api/v1/agents/" + e.agent + "/credentials", body: "{}"})
	e.credential, e.clientID, e.secret = made.member("credentialId"), made.member("clientId"), made.member("clientSecret")
	return e
}

// sidecar stands before an API that answers everything.
type sidecar struct {
	commandtest.Process
	url string
}

func startSidecar(t *testing.T, bin string, p *idp, self enrolled) *sidecar {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	routes := filepath.Join(dir, "routes.yaml")
	require.NoError(t, os.WriteFile(routes, []byte("routes:\n  - {methods: [GET], path: /notes, capability: \"notes:read\"}\n"), 0o600))
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 20_000)) }
	addr, admin := address(), address()
	s := &sidecar{url: "http://" + addr, Process: commandtest.Process{
		T: t, Name: "the sidecar", Path: filepath.Join(bin, "agentidp-sidecar"), ReadyAt: "http://" + admin + "/ready", LogPath: filepath.Join(dir, "log"),
		Env: []string{
			"AGENTIDP_SIDECAR_ADDR=" + addr, "AGENTIDP_SIDECAR_ADMIN_ADDR=" + admin, "AGENTIDP_SIDECAR_UPSTREAM=" + api.URL, "AGENTIDP_SIDECAR_ISSUER=" + p.url,
			"AGENTIDP_SIDECAR_AUDIENCE=" + audience, "AGENTIDP_SIDECAR_ROUTES=" + routes, "AGENTIDP_SIDECAR_DATA_DIR=" + filepath.Join(dir, "data"),
			"AGENTIDP_SIDECAR_CLIENT_ID=" + self.clientID, "AGENTIDP_SIDECAR_CLIENT_SECRET=" + self.secret, "AGENTIDP_SIDECAR_LOG_LEVEL=warn",
		},
	}}
	s.Tracked()
	s.Start()
	return s
}

// call the API through the sidecar.
func (s *sidecar) call(t *testing.T, token string) (status int) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, s.url+"/notes", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// shipped is the next sequence that the IdP wants of its only sidecar; -1: it knows of none.
func (c *client) shipped(t *testing.T) int64 {
	t.Helper()
	var list struct {
		Data []struct{ NextSequence int64 }
	}
	a := c.must(t, request{method: http.MethodGet, path: "/api/v1/sidecars"})
	require.NoError(t, json.Unmarshal(a.body, &list))
	if len(list.Data) == 0 {
		return -1
	}
	return list.Data[0].NextSequence
}
