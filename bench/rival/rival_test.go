package rival_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/rival"
	"github.com/sentryagent/agentidp/idp/idptest"
)

const (
	issuer   = "http://idp.example"
	audience = "https://notes.example/v1"
)

// start fails where a program is missing, and says how to get it.
func start(t *testing.T, kind rival.Kind, o rival.Options) *rival.Rival {
	t.Helper()
	if o.Cores == 0 {
		o.Cores = 1
	}
	r, err := rival.Start(t.Context(), kind, o)
	require.NoError(t, err, "bench/rival/install installs what is missing (make bench-rivals)")
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// api is what the proxies pass requests on to.
func api(t *testing.T) (addr string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Seen-Path", r.URL.Path)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func signed(t *testing.T, key *rsa.PrivateKey, changes map[string]any) string {
	t.Helper()
	header := map[string]any{"alg": "RS256", "typ": "at+jwt"}
	claims := map[string]any{"iss": issuer, "aud": audience, "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range changes {
		into := claims
		if name == "alg" {
			into = header
		}
		if into[name] = value; value == nil {
			delete(into, name)
		}
	}
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		raw, err := json.Marshal(part)
		require.NoError(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	digest := sha256.Sum256([]byte(strings.Join(parts, ".")))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), ".")
}

func status(t *testing.T, r *rival.Rival, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/notes", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	if response.StatusCode == http.StatusOK {
		require.Equal(t, "/notes", response.Header.Get("Seen-Path"))
	}
	return response.StatusCode
}

func TestPlainProxiesPassRequestsOn(t *testing.T) {
	upstream := api(t)
	for _, kind := range []rival.Kind{rival.HAProxy, rival.Nginx} {
		r := start(t, kind, rival.Options{Upstream: upstream})
		require.Equal(t, http.StatusOK, status(t, r, "anything"), kind)
		require.ErrorContains(t, r.CheckVerifies(t.Context(), "/notes", "e30.e30.AAAA"), "answers 200 to", "a proxy that does not look is found out")
		require.Equal(t, r.PID, r.PIDs()[0])
	}
}

func TestNginxHasAWorkerForEachCore(t *testing.T) {
	r := start(t, rival.Nginx, rival.Options{Upstream: api(t), Cores: 2})
	require.Eventually(t, func() bool { return len(r.PIDs()) == 3 }, time.Minute, 10*time.Millisecond)
}

func TestHAProxyVerifies(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	r := start(t, rival.HAProxyJWT, rival.Options{Upstream: api(t), Key: &key.PublicKey, Issuer: issuer, Audience: audience})
	require.NoError(t, r.CheckVerifies(t.Context(), "/notes", signed(t, key, nil)))
	for name, changes := range map[string]map[string]any{
		"expired":      {"exp": time.Now().Add(-time.Second).Unix()},
		"no exp":       {"exp": nil},
		"exp a string": {"exp": "soon"},
		"audience":     {"aud": "https://other.example"},
		"no audience":  {"aud": nil},
		"issuer":       {"iss": "http://other.example"},
		"alg":          {"alg": "RS512"},
	} {
		require.Equal(t, http.StatusUnauthorized, status(t, r, signed(t, key, changes)), name)
	}
	require.Equal(t, http.StatusUnauthorized, status(t, r, signed(t, other, nil)), "another key")
}

func TestHAProxyVerifiesTokensOfOurIdP(t *testing.T) {
	idp := idptest.Start(t)
	token := idp.Token(idp.Register("bench@example.com", "notes:read"), audience)
	key, err := rival.KeyOf(t.Context(), idp.URL+"/.well-known/jwks.json", token)
	require.NoError(t, err)
	r := start(t, rival.HAProxyJWT, rival.Options{Upstream: api(t), Key: key, Issuer: idp.URL, Audience: audience})
	require.NoError(t, r.CheckVerifies(t.Context(), "/notes", token))
}

func TestOIDCProviderIssuesTokensThatVerify(t *testing.T) {
	r := start(t, rival.OIDCProvider, rival.Options{})
	require.NoError(t, r.CheckIssues(t.Context(), audience))
	require.ErrorContains(t, r.CheckIssues(t.Context(), "not a URI"), "answers 400")
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		kind rival.Kind
		o    rival.Options
		want string
	}{
		"no such kind": {"apache", rival.Options{Cores: 1}, "no such thing"},
		"no core":      {rival.Nginx, rival.Options{}, "no such thing"},
		"no key":       {rival.HAProxyJWT, rival.Options{Cores: 1}, "it needs a key"},
		"its output":   {rival.HAProxy, rival.Options{Cores: 1, Upstream: "nowhere"}, "could not resolve address 'nowhere'"},
	} {
		_, err := rival.Start(t.Context(), c.kind, c.o)
		require.ErrorContains(t, err, c.want, name)
		require.NotErrorIs(t, err, rival.ErrMissing, name)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rival.Start(ended, rival.Nginx, rival.Options{Cores: 1, Upstream: "127.0.0.1:1"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAMissingProgramIsARowThatSaysSo(t *testing.T) {
	_, err := rival.Start(t.Context(), rival.OIDCProvider, rival.Options{Cores: 1, Modules: t.TempDir()})
	require.ErrorIs(t, err, rival.ErrMissing)
	params := map[string]float64{"connections": 8}
	row := rival.Unmeasured("issuance", rival.OIDCProvider, params, err)
	require.Equal(t, "oidc-provider", row.Subject)
	require.True(t, maps.Equal(params, row.Params))
	require.Contains(t, row.Invalid, "not measured: ")
	require.Contains(t, row.Invalid, "not installed")
	t.Setenv("PATH", t.TempDir())
	if _, err := os.Stat("/usr/sbin/node"); errors.Is(err, os.ErrNotExist) {
		_, err = rival.Start(t.Context(), rival.OIDCProvider, rival.Options{Cores: 1})
		require.ErrorIs(t, err, rival.ErrMissing)
	}
}

func TestKeyOfATokenThatIsNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	t.Cleanup(server.Close)
	for _, token := range []string{"", "x", "e30.e30.AAAA"} {
		_, err := rival.KeyOf(t.Context(), server.URL, token)
		require.Error(t, err, token)
	}
}
