package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// signer is an agent that signs instead of holding a secret.
type signer struct {
	key      *ecdsa.PrivateKey
	clientID string
}

func (i *installation) registerSigner(bearer string) signer {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(i.t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(i.t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	agent := i.did(bearer, http.MethodPost, "/api/v1/agents", map[string]any{
		"email": "signer@example.com", "agentType": "custom", "version": "1.0.0", "owner": "test", "deploymentEnv": "development", "capabilities": []string{"notes:read"},
		"jwks": map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(point[1:33]), "y": b64(point[33:])}}},
	})
	made := i.did(bearer, http.MethodPost, "/api/v1/agents/"+agent.AgentID+"/credentials", map[string]any{"authMethod": "private_key_jwt"})
	return signer{key, made.ClientID}
}

func (s signer) assertion(t *testing.T, issuer string) string {
	t.Helper()
	now := time.Now()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": s.clientID, "sub": s.clientID, "aud": issuer, "jti": uuid.NewString(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	unsigned.Header["kid"] = "k"
	signed, err := unsigned.SignedString(s.key)
	require.NoError(t, err)
	return signed
}

type refusal struct {
	Error       string
	Description string `json:"error_description"`
}

// present asks for a token with an assertion.
func (i *installation) present(assertion string) (status int, answer refusal) {
	i.t.Helper()
	got, err := http.PostForm(i.a.Issuer()+"/api/v1/token", url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
	require.NoError(i.t, err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	require.NoError(i.t, err)
	require.NoError(i.t, json.Unmarshal(body, &answer), string(body))
	return got.StatusCode, answer
}

// beforeRestore wants an assertion that was used to be refused for good, and a new one to be put off.
func (i *installation) beforeRestore(s signer, operator credential, used string) {
	i.t.Helper()
	status, answer := i.present(used)
	require.Equal(i.t, http.StatusUnauthorized, status, answer)
	_, events := i.call(i.login(operator), http.MethodGet, "/api/v1/audit?limit=5", nil)
	require.Contains(i.t, events, `"assertion_before_restore"`)
	status, answer = i.present(s.assertion(i.t, i.a.Issuer()))
	require.Equal(i.t, http.StatusServiceUnavailable, status)
	require.Contains(i.t, answer.Description, "come back with a new assertion")
}

// nextSecond waits until claims in whole seconds tell now from before.
func nextSecond() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
}

func TestAnAssertionOfBeforeARestoreIsRefused(t *testing.T) {
	i := installed(t)
	operator := admin(t, i.cfg)
	s := i.registerSigner(i.login(operator))
	file := filepath.Join(t.TempDir(), "backup.db")
	_, err := app.Backup(t.Context(), i.cfg, file, app.BackupOptions{})
	require.NoError(t, err)
	used := s.assertion(t, i.a.Issuer())
	status, answer := i.present(used)
	require.Equal(t, http.StatusOK, status, answer)
	i.stop()
	nextSecond()
	_, err = app.Restore(t.Context(), i.cfg, file)
	require.NoError(t, err)
	i.start()
	i.beforeRestore(s, operator, used)
	i.stop()

	// On PostgreSQL, to which the moment comes along.
	i.masterKeySetting()
	i.cfg.DatabaseURL = pgtest.URL(t)
	require.NoError(t, app.Migrate(t.Context(), i.cfg, func(string) {}))
	_, err = app.MoveToPostgres(t.Context(), i.cfg, func(string, int64) {})
	require.NoError(t, err)
	i.start()
	i.beforeRestore(s, operator, used)
	between := s.assertion(t, i.a.Issuer())
	i.stop()
	nextSecond()
	_, err = app.DeclareRestored(t.Context(), i.cfg)
	require.NoError(t, err)
	i.start()
	i.beforeRestore(s, operator, between)
	i.stop()
}
