// Package idptest runs a whole IdP inside a test: the real one, on a store in
// a temporary folder, listening on loopback.
package idptest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
	"github.com/sentryagent/agentidp/shared/policy"
)

// patience is for what should take no time, on a machine that has none to spare.
const patience = time.Minute

// IdP is a running identity provider. Stop and Start may alternate: data and address stay.
type IdP struct {
	URL   string // the issuer
	Admin Credential

	t    testing.TB
	cfg  app.Config
	stop func()
	app  *app.App // the one that runs, or ran last
}

// Credential is what an agent authenticates with, and who it is.
type Credential struct {
	AgentID      string `json:"agentId"`
	CredentialID string `json:"credentialId"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
}

// pepper of client secrets, version 1.
var pepper = "1:" + base64.StdEncoding.EncodeToString(make([]byte, 32))

// Start runs an IdP until the test ends. It has no request limit.
func Start(t testing.TB) *IdP { return StartWithPolicy(t, "") }

// StartWithPolicy is Start with the policy in a folder; "" is the built-in one.
func StartWithPolicy(t testing.TB, folder string) *IdP {
	t.Helper()
	cfg := app.Default()
	cfg.PolicyDir = folder
	cfg.Addr = fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 10_000)) // still free after a Stop
	cfg.DataDir, cfg.LimitsRequestsPerMinute = t.TempDir(), 0
	cfg.Pepper, cfg.BcryptCost = pepper, 0 // bcrypt takes seconds under the race detector
	p := &IdP{t: t, cfg: cfg}
	p.Start()
	t.Cleanup(p.Stop)
	content, err := os.ReadFile(cfg.AdminPath())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &p.Admin))
	return p
}

// Start runs it again after Stop, and waits until it is healthy.
func (p *IdP) Start() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, p.cfg, app.Options{Logger: slog.New(slog.DiscardHandler), Policy: policy.Options{Timeout: patience, TestTimeout: patience}})
	require.NoError(p.t, err)
	p.URL, p.app = a.Issuer(), a
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	p.stop = func() {
		cancel()
		require.NoError(p.t, <-ended)
	}
	require.Eventually(p.t, func() bool {
		answer, err := http.Get(p.URL + "/health")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK && p.bootstrapped()
	}, patience, 5*time.Millisecond, "the IdP becomes healthy")
}

func (p *IdP) bootstrapped() bool {
	_, err := os.Stat(p.cfg.AdminPath())
	return err == nil
}

// Stop ends it as SIGTERM does. Stopping twice is fine.
func (p *IdP) Stop() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// Reload does what SIGHUP does.
func (p *IdP) Reload() { p.app.Reload(context.Background()) }

// Token gets an access token with an unmodified OAuth client. No resource: for
// the management API.
func (p *IdP) Token(c Credential, resources ...string) string {
	p.t.Helper()
	token, err := p.config(c, resources).Token(context.Background())
	require.NoError(p.t, err)
	return token.AccessToken
}

func (p *IdP) config(c Credential, resources []string) *clientcredentials.Config {
	config := &clientcredentials.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, TokenURL: p.URL + "/api/v1/token", AuthStyle: oauth2.AuthStyleInHeader}
	if len(resources) > 0 {
		config.EndpointParams = map[string][]string{"resource": resources}
	}
	return config
}

// Register makes an agent with the capabilities, and its credential, as the administrator.
func (p *IdP) Register(email string, capabilities ...string) Credential {
	p.t.Helper()
	var c Credential
	p.Call(http.MethodPost, "/api/v1/agents", map[string]any{
		"email": email, "agentType": "custom", "version": "1.0.0", "owner": "test", "deploymentEnv": "development", "capabilities": capabilities,
	}, &c)
	agentID := c.AgentID
	p.Call(http.MethodPost, "/api/v1/agents/"+agentID+"/credentials", map[string]any{}, &c)
	c.AgentID = agentID
	return c
}

// Call calls the management API as the administrator, wants a 2xx, and decodes
// the answer into out unless it is nil.
func (p *IdP) Call(method, path string, body, out any) {
	p.t.Helper()
	status, answer := p.CallAs(p.Admin, method, path, body)
	require.Equal(p.t, 2, status/100, "%s %s: %d %s", method, path, status, answer)
	if out != nil {
		require.NoError(p.t, json.Unmarshal(answer, out), string(answer))
	}
}

// CallAs calls the management API with somebody's credential.
func (p *IdP) CallAs(c Credential, method, path string, body any) (status int, answer []byte) {
	p.t.Helper()
	content := ""
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(p.t, err)
		content = string(raw)
	}
	request, err := http.NewRequest(method, p.URL+path, strings.NewReader(content))
	require.NoError(p.t, err)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+p.Token(c))
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	require.NoError(p.t, err)
	return response.StatusCode, answer
}
