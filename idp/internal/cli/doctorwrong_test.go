package cli_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
)

// between stands before the IdP and changes some of its answers.
type between struct {
	*httptest.Server
	idp    string
	change func(path, body string) (status int, changed string) // status 0: as it was
}

func newBetween(w *world) *between {
	target, err := url.Parse(w.idp.URL)
	require.NoError(w, err)
	b := &between{idp: w.idp.URL}
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if b.change == nil {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			status, changed := b.change(r.Request.URL.Path, string(body))
			if status != 0 {
				r.StatusCode, r.Status = status, strconv.Itoa(status)
			}
			r.Header.Set("Content-Length", strconv.Itoa(len(changed)))
			r.ContentLength, r.Body = int64(len(changed)), io.NopCloser(bytes.NewBufferString(changed))
			return nil
		},
	})
	w.Cleanup(b.Close)
	return b
}

// at changes what is found in the answer of one path.
func at(path, pattern, by string) func(string, string) (int, string) {
	find := regexp.MustCompile(pattern)
	return func(asked, body string) (int, string) {
		if matched, _ := filepath.Match(path, asked); !matched {
			return 0, body
		}
		return 0, find.ReplaceAllString(body, by)
	}
}

func status(path string, status int) func(string, string) (int, string) {
	return func(asked, body string) (int, string) {
		if matched, _ := filepath.Match(path, asked); !matched {
			return 0, body
		}
		return status, "<html>nothing here</html>"
	}
}

// renamed makes the discovery documents name this server, but for a member.
func (b *between) renamed(path, pattern, by string) func(string, string) (int, string) {
	change := at(path, pattern, by)
	return func(asked, body string) (int, string) {
		if strings.HasPrefix(asked, "/.well-known/o") {
			body = strings.ReplaceAll(body, b.idp, b.URL)
		}
		return change(asked, body)
	}
}

// Each thing that doctor can find wrong, in a deployment that is wrong so.
func TestDoctorSeesEachThingThatIsWrong(t *testing.T) {
	w := newWorld(t)
	b := newBetween(w)
	w.input(w.idp.Admin.ClientSecret, 0, "login", "--profile", "between", "--url", b.URL, "--client-id", w.idp.Admin.ClientID)
	poll, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.idp.URL+"/api/v1/revocations", nil)
	require.NoError(t, err)
	poll.Header = http.Header{"Authorization": {"Bearer " + w.idp.Token(w.idp.Admin)}, "X-Sidecar-Id": {"5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d"}, "X-Sidecar-Name": {"notes-edge-1"}}
	answer, err := http.DefaultClient.Do(poll)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)

	require.Regexp(t, `(?m)^5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d  notes-edge-1 .* connected `, w.run("sidecars", "list"))

	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format("2006-01-02T15:04:05.000Z") }
	const discovery, openid = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	for _, fact := range []struct {
		change      func(path, body string) (int, string)
		check, what string
	}{
		{status("/health/live", 404), "reachable", "answers 404"},
		{status("/health", 200), "health", "invalid character"},
		{at("/health", `"status":"ok"`, `"status":"degraded","reason":"slow"`), "health", "store is degraded (slow)"},
		{status(discovery, 404), "discovery", "404"},
		{status(openid, 404), "discovery", "404"},
		{b.renamed(openid, `"jwks_uri":"[^"]*"`, `"jwks_uri":"https://cdn.example.com/jwks.json"`), "discovery", "oauth-authorization-server and openid-configuration differ"},
		{b.renamed("/.well-known/o*", `"revocation_endpoint":"[^"]*"`, `"revocation_endpoint":"https://old.example.com/revoke"`), "discovery", "https://old.example.com/revoke is not under the issuer"},
		{status("/.well-known/jwks.json", 500), "keys published", "500"},
		{at("/.well-known/jwks.json", `"keys":\[.*\]`, `"keys":"none"`), "keys published", ""},
		{at("/.well-known/jwks.json", `"n":"[^"]*"`, `"n":"AQAB"`), "keys published", "not usable"},
		{at("/.well-known/jwks.json", `"kid":"..`, `"kid":"__`), "credential", "its token does not verify"},
		{status("/api/v1/agents/*", 500), "credential", "500"},
		{status("/api/v1/agents/*/credentials", 500), "credential's end", "its credentials: "},
		{status("/api/v1/organizations/*/usage", 500), "quota", "what agents use: "},
		{at("/api/v1/organizations/*/usage", `"tokensUsed":\d+`, `"tokensUsed":9400`), "quota", "used 9400 of 10000 tokens"},
		{at("/api/v1/keys", `"kid":"..`, `"kid":"__`), "signing keys", "is not in the key set"},
		{at("/api/v1/keys", `"activatedAt":"2\d{3}`, `"activatedAt":"2020`), "signing keys", "signs has done so for"},
		{at("/api/v1/keys", `"status":"active"`, `"status":"next"`), "signing keys", "no key signs"},
		{status("/api/v1/keys", 500), "signing keys", "the signing keys: "},
		{at("/api/v1/sidecars", `"seenAt":"[^"]*","connected":true`, `"seenAt":"`+ago(2*time.Hour)+`","connected":false`), "sidecars", "notes-edge-1 (5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d) was last seen 2 hours ago"},
		{status("/api/v1/sidecars", 500), "sidecars", "the sidecars: "},
		{status("/api/v1/policies", 500), "policy", "the policy: "},
		{at("/api/v1/audit/checkpoint", `audit\n\d+`, "audit\n7"), "audit log", "the signed checkpoint: "},
	} {
		b.change = fact.change
		found := diagnose(w)
		require.Equal(t, "WRONG", found[fact.check].Status, "%s: %v", fact.check, found)
		require.Contains(t, found[fact.check].What, fact.what, fact.check)
		b.change = nil
	}

	// A sidecar that polls and does not take up what it gets.
	w.idp.Call(http.MethodPost, "/api/v1/revocations", map[string]any{"type": "agent", "id": w.screen.AgentID}, nil)
	snapshot := w.object("revoke", "list")["cursor"].(string)
	epoch, _, _ := strings.Cut(snapshot, ".")
	b.change = at("/api/v1/sidecars", `"nextSequence":\d+,"seenAt":"[^"]*"`, `"feedCursor":"`+epoch+`.0","nextSequence":0,"seenAt":"`+ago(90*time.Second)+`"`)
	require.Contains(t, diagnose(w)["sidecars"].What, "notes-edge-1 (5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d) has not taken up the last ")
}

func TestDoctorSeesBadTLS(t *testing.T) {
	w := newWorld(t)
	b := newBetween(w)
	address, err := url.Parse(b.URL)
	require.NoError(t, err)
	// 0.0.0.0 is this host, and no loopback address.
	w.input(w.idp.Admin.ClientSecret, 0, "login", "--profile", "clear", "--url", "http://0.0.0.0:"+address.Port(), "--client-id", w.idp.Admin.ClientID)
	require.Contains(t, diagnose(w)["tls"].What, "in the clear")

	authority := tlstest.NewAuthority(t)
	secured := httptest.NewUnstartedServer(b.Config.Handler)
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair()}}
	secured.StartTLS()
	t.Cleanup(secured.Close)
	w.input(w.idp.Admin.ClientSecret, 0, "login", "--profile", "old", "--url", secured.URL, "--client-id", w.idp.Admin.ClientID, "--ca-file", authority.File)
	require.Contains(t, diagnose(w)["tls"].What, "the certificate of 127.0.0.1 ends in ")

	stranger := tlstest.NewAuthority(t)
	require.NoError(t, os.WriteFile(authority.File, w.read(stranger.File), 0o600))
	found := diagnose(w)
	require.Contains(t, found["reachable"].What, "certificate")
	require.Contains(t, found["reachable"].Do, "--ca-file")
}

func TestDoctorSeesAPolicyThatDidNotReload(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, policies.Files))
	w := newWorldOf(t, idptest.StartWithPolicy(t, folder))
	w.run("doctor")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "broken.rego"), []byte("package"), 0o600))
	w.idp.Reload()
	require.Contains(t, diagnose(w)["policy"].What, "the last reload kept the old policy: ")
}

// Whoever has to cut something off does so, whether or not it can be counted first.
func TestWhatCannotBeCountedIsCutOff(t *testing.T) {
	w := newWorld(t)
	b := newBetween(w)
	b.change = status("/api/v1/revocations/preview", 500)
	w.input(w.idp.Admin.ClientSecret, 0, "login", "--profile", "between", "--url", b.URL, "--client-id", w.idp.Admin.ClientID)
	raw := w.idp.Token(w.screen)
	_, stderr := w.input("", 0, "revoke", "agent", w.screen.AgentID, "--yes")
	require.Contains(t, stderr, "could not be counted: ")
	require.Regexp(t, `(?m)^state +dead$`, w.run("token", "introspect", w.file("token", raw)))
}
