package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// A private key proves who calls, named by the environment or by a credentials file.
func TestAPrivateKeyInTheEnvironment(t *testing.T) {
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	path := w.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	part := base64.RawURLEncoding.EncodeToString
	jwks := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"mine","x":%q,"y":%q}]}`, part(point[1:33]), part(point[33:]))

	admin, err := agentidp.NewClient(agentidp.Config{URL: w.idp.URL, ClientID: w.idp.Admin.ClientID, ClientSecret: w.idp.Admin.ClientSecret})
	require.NoError(t, err)
	agent, err := admin.CreateAgent(t.Context(), agentidp.NewAgent{
		Email: "keyed@example.com", AgentType: agentidp.AgentCustom, Version: "1.0.0", Owner: "o", DeploymentEnv: agentidp.EnvDevelopment,
		Capabilities: []string{"notes:read"}, JWKS: json.RawMessage(jwks),
	})
	require.NoError(t, err)
	credential, err := admin.CreateCredential(t.Context(), agent.AgentID, agentidp.NewCredential{AuthMethod: agentidp.AuthPrivateKeyJWT})
	require.NoError(t, err)

	environ := *w
	environ.env = append(environ.env, "AGENTIDP_URL="+w.idp.URL, "AGENTIDP_CLIENT_ID="+credential.ClientID, "AGENTIDP_PRIVATE_KEY_FILE="+path, "AGENTIDP_KEY_ID=mine")
	require.Equal(t, agent.AgentID, subject(&environ, "token", "get"))

	file := *w
	content := fmt.Sprintf(`{"clientId":%q,"privateKeyFile":%q,"keyId":"mine"}`, credential.ClientID, path)
	file.env = append(file.env, "AGENTIDP_URL="+w.idp.URL, "AGENTIDP_CREDENTIALS_FILE="+w.file("credentials.json", content))
	require.Equal(t, agent.AgentID, subject(&file, "token", "get"))
}
