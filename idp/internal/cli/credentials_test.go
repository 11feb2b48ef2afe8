package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// A secret that another system hashed gets a token here.
func TestImportCredentials(t *testing.T) {
	folder := t.TempDir()
	data, file := filepath.Join(folder, "data"), filepath.Join(folder, "import.csv")
	importing := func(args ...string) (int, string, string) {
		return run(t, nil, append([]string{"credentials", "import", "--offline", "--data-dir", data}, args...)...)
	}
	var agentID string
	serve(t, data, func(issuer string, _ *obstest.Output) {
		content, err := os.ReadFile(filepath.Join(data, "admin.json"))
		require.NoError(t, err)
		var admin struct{ ClientID, ClientSecret string }
		require.NoError(t, json.Unmarshal(content, &admin))
		token := tokenOf(t, issuer, admin.ClientID, admin.ClientSecret)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/api/v1/agents", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		var list struct{ Data []struct{ AgentID string } }
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&list))
		agentID = list.Data[0].AgentID
	})
	hash, err := bcrypt.GenerateFromPassword([]byte("secret of before"), 4)
	require.NoError(t, err)
	write := func(hash string) {
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "clientId,agentId,secretHash\nbilling,%s,%s\n", agentID, hash), 0o600))
	}
	write("plain text")
	status, stdout, stderr := importing("--file", file)
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "line 2: secretHash must be a bcrypt hash")
	require.Contains(t, stderr, "nothing is imported")
	require.NotContains(t, stderr, "plain text")

	write(string(hash))
	status, stdout, stderr = importing("--file", file, "--dry-run")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "1 credentials to import")
	status, stdout, stderr = importing("--file", file)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "1 credentials imported, 0 were there already")
	status, stdout, _ = importing("--file", file)
	require.Zero(t, status)
	require.Contains(t, stdout, "0 credentials imported, 1 were there already")
	serve(t, data, func(issuer string, _ *obstest.Output) {
		require.NotEmpty(t, tokenOf(t, issuer, "billing", "secret of before"))
	})

	status, _, stderr = importing("--file", "/nowhere.csv")
	require.Equal(t, 1, status, stderr)
	status, _, _ = importing()
	require.Equal(t, 2, status)
	dear, err := bcrypt.GenerateFromPassword([]byte("s"), 11)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "clientId,agentId,secretHash\ndear,%s,%s\n", agentID, dear), 0o600))
	status, _, stderr = importing("--file", file)
	require.Zero(t, status)
	require.Contains(t, stderr, "AGENTIDP_BCRYPT_COST to 11")
}

func tokenOf(t *testing.T, issuer, id, secret string) string {
	t.Helper()
	answer, err := http.PostForm(issuer+"/api/v1/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
	require.NoError(t, err)
	defer answer.Body.Close()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&got))
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return got.AccessToken
}
