package vault_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/vault"
)

const (
	soon = time.Minute
	tick = 10 * time.Millisecond
)

// count is how many of what the proxy saw since it was last asked end with a path.
func (w *world) count(ending string) (n int) {
	for _, request := range w.proxy.Requests() {
		if strings.HasSuffix(request, ending) {
			n++
		}
	}
	return n
}

func (w *world) appRole(ttl, limit time.Duration) {
	w.Helper()
	roleID, secretID := w.server.AppRole(w, ttl, limit)
	w.hide(secretID)
	w.options.Token, w.options.AppRole = "", &vault.AppRole{RoleID: roleID, SecretID: secretID}
}

func (w *world) file(text string) string {
	w.Helper()
	name := filepath.Join(w.TempDir(), "secret")
	require.NoError(w, os.WriteFile(name, []byte(text+"\n"), 0o600))
	return name
}

func TestLogins(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ways := map[string]func(){
			"token file": func() { w.options.Token, w.options.TokenFile = "", w.file(w.server.Token) },
			"AppRole":    func() { w.options.TokenFile = ""; w.appRole(time.Hour, time.Hour) },
			"AppRole, secret in a file": func() {
				w.options.AppRole.SecretIDFile, w.options.AppRole.SecretID = w.file(w.options.AppRole.SecretID), ""
			},
			"Kubernetes": func() {
				role, jwt := w.server.Kubernetes(t, time.Hour)
				w.hide(jwt)
				w.options.AppRole, w.options.Kubernetes = nil, &vault.Kubernetes{Role: role, JWTFile: w.file(jwt)}
			},
		}
		for _, way := range []string{"token file", "AppRole", "AppRole, secret in a file", "Kubernetes"} {
			ways[way]()
			w.proxy.Requests()
			client := w.open()
			require.Empty(t, w.proxy.Requests(), "nobody asked yet")
			s := client.Secrets()
			encoded := w.hash(s, newID(), first)
			require.True(t, w.verifies(s, encoded, first), way)
			require.NoError(t, client.Ready(t.Context()))
		}
	})
}

// However many wait for the first login, one logs in.
func TestOneLogsInForAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.appRole(time.Hour, time.Hour)
		client := w.open()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _ = client.Secrets().DeleteCredential(t.Context(), newID()) })
		}
		all.Wait()
		require.Equal(t, 1, w.count("/login"))
	})
}

func TestRefusedLogins(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		encoded := w.hash(w.open().Secrets(), newID(), first)
		refused := func() {
			t.Helper()
			client := w.open()
			w.proxy.Requests()
			for range 20 {
				w.unavailable(client.Secrets(), encoded, first)
			}
			require.LessOrEqual(t, w.count("/login"), 3, "not a login for each request")
			require.ErrorIs(t, w.err(client.Ready(t.Context())), vault.ErrUnavailable)
		}
		w.options.Token = "hvs.nosuchtoken"
		w.hide(w.options.Token)
		refused()
		w.options.Token = w.server.Restricted(t, "")
		client := w.open()
		w.unavailable(client.Secrets(), encoded, first)
		require.NoError(t, client.Ready(t.Context()), "the token is good, the policy is not")
		w.options.Token, w.options.TokenFile = "", filepath.Join(t.TempDir(), "missing")
		refused()
		w.options.TokenFile = w.file("two\nlines")
		refused()
		w.options.TokenFile = ""
		w.appRole(time.Hour, time.Hour)
		w.options.AppRole.SecretID = "no such secret id"
		refused()
		w.options.AppRole, w.options.Kubernetes = nil, &vault.Kubernetes{Role: "norole", JWTFile: w.file("a.b.c")}
		refused()
	})
}

// A token that was revoked is replaced within the call that meets it.
func TestRevokedTokenIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var now atomic.Int64 // seconds past the true time
		w.options.Now = func() time.Time { return time.Now().Add(time.Duration(now.Load()) * time.Second) }
		file := w.file(w.server.NewToken(t, time.Hour, 0, false))
		w.options.Token, w.options.TokenFile = "", file
		s := w.open().Secrets()
		encoded := w.hash(s, newID(), first)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		w.server.Revoke(t, strings.TrimSpace(string(text)))
		w.unavailable(s, encoded, first)
		require.NoError(t, os.WriteFile(file, []byte(w.server.NewToken(t, time.Hour, 0, false)), 0o600))
		now.Add(2)
		require.True(t, w.verifies(s, encoded, first))
	})
}

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.options.Token = w.server.NewToken(t, 6*time.Second, 0, true) // two more than a goroutine may wait
		s := w.open().Secrets()
		encoded := w.hash(s, newID(), first)
		w.proxy.Requests()
		renewals := 0
		require.Eventually(t, func() bool {
			renewals += w.count("/renew-self")
			return renewals >= 2 // past its first life
		}, soon, tick)
		require.True(t, w.verifies(s, encoded, first))
	})
}

// A token at the end of what may be renewed is replaced by a login, before anybody is refused.
func TestTokenAtItsLimit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.appRole(2*time.Second, 3*time.Second)
		s := w.open().Secrets()
		encoded := w.hash(s, newID(), first)
		w.proxy.Requests()
		logins := 0
		require.Eventually(t, func() bool {
			require.True(t, w.verifies(s, encoded, first))
			logins += w.count("/login")
			return logins > 0
		}, soon, tick)
	})
}

// A token of no more than its own life and no way to log in again ends in 503.
func TestExpiredToken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		encoded := w.hash(w.open().Secrets(), newID(), first)
		file := w.file(w.server.NewToken(t, time.Second, 0, false))
		w.options.Token, w.options.TokenFile = "", file
		s := w.open().Secrets()
		require.Eventually(t, func() bool {
			right, err := s.Verify(t.Context(), encoded, first)
			if err == nil {
				require.True(t, right)
				return false
			}
			require.ErrorIs(t, w.err(err), vault.ErrUnavailable)
			return true
		}, soon, tick)
		require.NoError(t, os.WriteFile(file, []byte(w.server.NewToken(t, time.Hour, 0, false)), 0o600))
		require.Eventually(t, func() bool {
			right, err := s.Verify(t.Context(), encoded, first)
			return err == nil && right
		}, soon, tick)
	})
}

// Only Options say who we are, whatever the environment says.
func TestNothingComesFromTheEnvironment(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "hvs.other")
	t.Setenv("VAULT_NAMESPACE", "other")
	t.Setenv("VAULT_WRAP_TTL", "5m")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	each(t, func(t *testing.T, w *world) {
		w.appRole(time.Hour, time.Hour)
		tell := make(chan http.Header, 10)
		w.proxy.Before(func(r *http.Request) { tell <- r.Header.Clone() })
		require.NoError(t, w.open().Ready(t.Context()))
		for range 2 { // the login and the question
			header := <-tell
			require.NotContains(t, header["X-Vault-Token"], "hvs.other")
			require.Empty(t, header["X-Vault-Namespace"])
			require.Empty(t, header["X-Vault-Wrap-Ttl"])
		}
		w.options.Namespace = "team"
		client := w.open()
		w.proxy.Instead(func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write([]byte(`{"auth":{"client_token":"t"},"data":{}}`))
		})
		require.NoError(t, client.Ready(t.Context()))
		for range 2 {
			require.Equal(t, []string{"team"}, (<-tell)["X-Vault-Namespace"])
		}
	})
}

// The policy in the package's comment is enough for everything.
func TestDocumentedPolicy(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^//\t(path ".*)$`).FindAllSubmatch(text, -1)
	require.NotEmpty(t, lines)
	each(t, func(t *testing.T, w *world) {
		w.options.TransitKey = w.server.TransitKey(t)
		var policy strings.Builder
		for _, line := range lines {
			rule := strings.Replace(string(line[1]), `"secret/`, `"`+w.mount+"/", 1)
			policy.WriteString(strings.Replace(rule, `crypt/agentidp"`, `crypt/`+w.options.TransitKey+`"`, 1) + "\n")
		}
		rules := strings.Replace(policy.String(), `rewrap/agentidp"`, `rewrap/`+w.options.TransitKey+`"`, 1)
		w.options.Token = w.server.Restricted(t, rules)
		client, id := w.open(), newID()
		require.NoError(t, client.Ready(t.Context()))
		s := client.Secrets()
		old, next := w.hash(s, id, first), w.hash(s, id, second)
		require.True(t, w.verifies(s, next, second))
		require.NoError(t, w.err(s.Delete(t.Context(), old)))
		require.NoError(t, w.err(s.DeleteCredential(t.Context(), id)))
		_, err := s.Decoy(t.Context())
		require.NoError(t, w.err(err))
		_, err = client.MasterKey(t.Context())
		require.NoError(t, w.err(err))
		for range 2 {
			_, err = client.WrappedMasterKey(t.Context(), filepath.Join(t.TempDir(), "key"))
			require.NoError(t, w.err(err))
		}
	})
}
