package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/idp/idptest"
)

func TestEnrol(t *testing.T) {
	idp, dir := idptest.Start(t), t.TempDir()
	addr := strings.TrimPrefix(idp.URL, "http://")
	admin, out := filepath.Join(dir, "admin.json"), filepath.Join(dir, "credential.yaml")
	require.Error(t, enrol(t.Context(), addr, admin, "s@example.com", out), "no credential")
	content, err := json.Marshal(idp.Admin)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(admin, content, 0o600))
	require.NoError(t, enrol(t.Context(), addr, admin, "s@example.com", out))

	written, err := os.ReadFile(out)
	require.NoError(t, err)
	var settings map[string]string
	require.NoError(t, yaml.Unmarshal(written, &settings))
	credential := idptest.Credential{ClientID: settings["client_id"], ClientSecret: settings["client_secret"]}
	status, _ := idp.CallAs(credential, http.MethodGet, "/api/v1/revocations", nil)
	require.Equal(t, http.StatusOK, status)
	status, _ = idp.CallAs(credential, http.MethodGet, "/api/v1/agents", nil)
	require.Equal(t, http.StatusForbidden, status)

	require.NoError(t, enrol(t.Context(), addr, admin, "s@example.com", out), "a second run does nothing")
	again, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, written, again)
}

// A run that ended between registering and writing leaves an agent without a file.
func TestEnrolAfterARunThatWasCutOff(t *testing.T) {
	idp, dir := idptest.Start(t), t.TempDir()
	addr := strings.TrimPrefix(idp.URL, "http://")
	t.Setenv("AGENTIDP_CLIENT_ID", idp.Admin.ClientID)
	t.Setenv("AGENTIDP_CLIENT_SECRET", idp.Admin.ClientSecret)
	require.ErrorContains(t, enrol(t.Context(), addr, "", "s@example.com", filepath.Join(dir, "missing", "credential.yaml")), "settings file")
	out := filepath.Join(dir, "credential.yaml")
	require.NoError(t, enrol(t.Context(), addr, "", "s@example.com", out))
	var agents struct{ Total int }
	idp.Call(http.MethodGet, "/api/v1/agents?q=s@example.com", nil, &agents)
	require.Equal(t, 1, agents.Total)
	written, err := os.ReadFile(out)
	require.NoError(t, err)
	var settings map[string]string
	require.NoError(t, yaml.Unmarshal(written, &settings))
	status, _ := idp.CallAs(idptest.Credential{ClientID: settings["client_id"], ClientSecret: settings["client_secret"]}, http.MethodGet, "/api/v1/revocations", nil)
	require.Equal(t, http.StatusOK, status)

	idp.Register("other@example.com", "notes:read")
	require.ErrorContains(t, enrol(t.Context(), addr, "", "other@example.com", filepath.Join(dir, "other.yaml")), "another agent")
}
