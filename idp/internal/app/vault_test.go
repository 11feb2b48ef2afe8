package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
	"github.com/sentryagent/agentidp/shared/config"
)

// call is a request of the management API with a bearer token.
func call(t *testing.T, a *app.App, bearer, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequest(method, a.Issuer()+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(content, out), string(content))
	}
	return answer.StatusCode
}

func TestSecretsAndTheMasterKeyInVault(t *testing.T) {
	server := vaulttest.NewDouble(t)
	proxy := server.NewProxy(t)
	cfg := settings(t)
	cfg.VaultAddr, cfg.VaultToken, cfg.VaultMount = proxy.Addr, server.NewToken(t, time.Hour, time.Hour, true), server.Mount(t)
	cfg.VaultMasterKey = "kv"
	a, log, stop := run(t, cfg)
	first := admin(t, cfg)
	require.NoFileExists(t, cfg.MasterKeyPath())
	status, body := token(t, a, first.ClientID, first.ClientSecret)
	require.Equal(t, http.StatusOK, status, body)
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &issued))

	var agent struct{ AgentID string }
	require.Equal(t, http.StatusCreated, call(t, a, issued.AccessToken, http.MethodPost, "/api/v1/agents",
		`{"email":"a@example.com","agentType":"custom","version":"1.0.0","owner":"o","deploymentEnv":"staging","capabilities":["notes:read"]}`, &agent))
	var c struct{ CredentialID, ClientID, ClientSecret string }
	path := "/api/v1/agents/" + agent.AgentID + "/credentials"
	require.Equal(t, http.StatusCreated, call(t, a, issued.AccessToken, http.MethodPost, path, `{}`, &c))
	kept := "agentidp/credentials/" + c.CredentialID
	require.Equal(t, 1, server.Versions(t, cfg.VaultMount, kept))
	require.NotContains(t, server.Text(t, cfg.VaultMount, kept), c.ClientSecret)

	// F22: what needs Vault is answered 503, never 401; the rest goes on.
	proxy.Instead(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"errors":["Vault is sealed"]}`)
	})
	status, body = token(t, a, c.ClientID, c.ClientSecret)
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	status, body = token(t, a, first.ClientID, first.ClientSecret)
	require.Equal(t, http.StatusOK, status, "proven before: "+body)
	eventually(t, "health is degraded, and 200", func() bool {
		status, body := get(t, a.Issuer()+"/health")
		return status == http.StatusOK && strings.Contains(body, `"degraded"`)
	})
	proxy.Instead(nil)
	eventually(t, "it heals by itself", func() bool {
		status, _ := token(t, a, c.ClientID, c.ClientSecret)
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status)
		return status == http.StatusOK
	})
	eventually(t, "a wrong secret is refused", func() bool {
		status, _ := token(t, a, c.ClientID, c.ClientSecret+"x")
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, status)
		return status == http.StatusUnauthorized
	})

	require.Equal(t, http.StatusNoContent, call(t, a, issued.AccessToken, http.MethodDelete, path+"/"+c.CredentialID, ``, nil))
	require.Zero(t, server.Versions(t, cfg.VaultMount, kept), "the digest goes with the credential")
	require.NoError(t, stop())

	a, _, stop = run(t, cfg)
	status, body = token(t, a, first.ClientID, first.ClientSecret)
	require.Equal(t, http.StatusOK, status, "the master key and the digest are in Vault: "+body)
	require.NoError(t, stop())
	require.NotContains(t, log.String(), first.ClientSecret)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, holds, time.Minute, 20*time.Millisecond, what)
	t.Logf("%s after %s", what, time.Since(began).Round(time.Millisecond))
}

// Whoever renews the token beside us writes it to the file: nothing is restarted.
func TestATokenFileIsReadAgain(t *testing.T) {
	server := vaulttest.NewDouble(t)
	short := server.NewToken(t, time.Hour, time.Hour, true)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(short+"\n"), 0o600))
	cfg := settings(t)
	require.NoError(t, config.Load(&cfg, config.Options{Prefix: config.PrefixIdP, Environ: []string{
		"VAULT_ADDR=" + server.Addr, "VAULT_TOKEN_FILE=" + file, "VAULT_MOUNT=" + server.Mount(t), "AGENTIDP_ALLOW_HTTP=true",
	}}))
	a, _, stop := run(t, cfg)
	first := admin(t, cfg)
	server.Revoke(t, short)
	require.NoError(t, os.WriteFile(file, []byte(server.NewToken(t, time.Hour, time.Hour, true)+"\n"), 0o600))
	eventually(t, "it logs in with the new token", func() bool {
		status, body := token(t, a, first.ClientID, first.ClientSecret)
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status, body)
		return status == http.StatusOK
	})
	require.NoError(t, stop())
}

// Whoever looks at a store, or restores one, finds the master key or does not, and
// leaves Vault and the data folder as they are.
func TestNoMasterKeyIsMadeForAStoreThatIsThere(t *testing.T) {
	server := vaulttest.NewDouble(t)
	cfg := settings(t)
	_, _, stop := run(t, cfg)
	require.NoError(t, stop())
	keys := func(cfg app.Config) error {
		t.Helper()
		db, err := app.OpenCondition(t.Context(), cfg)
		require.NoError(t, err)
		err = db.Keys(t.Context())
		require.NoError(t, db.Close())
		return err
	}
	require.NoError(t, keys(cfg))
	require.NoError(t, os.Remove(cfg.MasterKeyPath()))
	require.ErrorIs(t, keys(cfg), app.ErrNoMasterKey)

	cfg.VaultAddr, cfg.VaultToken, cfg.VaultMount = server.Addr, server.NewToken(t, time.Hour, time.Hour, true), server.Mount(t)
	for _, place := range []string{"kv", "transit"} {
		cfg.VaultMasterKey = place
		require.ErrorIs(t, keys(cfg), app.ErrNoMasterKey, place)
		_, err := app.DeclareRestored(t.Context(), cfg)
		require.ErrorIs(t, err, app.ErrNoMasterKey, place)
	}
	require.Zero(t, server.Versions(t, cfg.VaultMount, "agentidp/master-key"))
	require.NoFileExists(t, filepath.Join(cfg.DataDir, "master.key.vault"))
}
