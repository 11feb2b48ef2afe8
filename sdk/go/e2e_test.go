package agentidp_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/sdk/go/verify"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

const patience = 30 * time.Second // for what happens soon

// world is the real programs: IdP, sidecar, and the notes and tools behind it.
type world struct {
	*stack.Stack
	bin   string
	admin *agentidp.Client
}

func newWorld(t *testing.T, idpEnv ...string) *world {
	t.Helper()
	addresses, err := stack.Free()
	require.NoError(t, err)
	bin := commandtest.Build(t, "", nil, "idp/cmd/agentidp", "sidecar/cmd/agentidp-sidecar", "deploy/dev/cmd/notes",
		"sdk/go/examples/agent", "sdk/go/examples/server", "sdk/go/examples/mcp")
	w := &world{bin: bin, Stack: &stack.Stack{Addresses: addresses, Bin: bin, Dir: t.TempDir(), IdPEnv: idpEnv}}
	t.Cleanup(func() {
		if err := w.Close(); err != nil { // how the programs end is their own tests' business
			t.Log(err)
		}
	})
	return w
}

// tools is an MCP server with one tool.
func tools(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			ID     int
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&message)
		result := `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"tools","version":"1"}}`
		if message.Method == "tools/list" {
			result = `{"tools":[{"name":"echo","description":"Gives it back.","inputSchema":{"type":"object"}},{"name":"wipe","description":"x","inputSchema":{"type":"object"}}]}`
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"result":%s}`, message.ID, result)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (w *world) start(t *testing.T) {
	t.Helper()
	w.Routes = filepath.Join(t.TempDir(), "routes.yaml")
	require.NoError(t, os.WriteFile(w.Routes, []byte(`upstreams:
  tools: {urls: ["`+tools(t)+`"]}
routes:
  - {methods: [GET], path: /notes, capability: "notes:read"}
  - {methods: [POST], path: /mcp, capability: "mcp:use", protocol: mcp, upstream: tools}
`), 0o600))
	require.NoError(t, w.Start(t.Context()))
	w.administrate(t)
}

func (w *world) administrate(t *testing.T) {
	t.Helper()
	config, err := agentidp.FromLookup(func(name string) string {
		return map[string]string{"AGENTIDP_URL": w.Issuer(), "AGENTIDP_CREDENTIALS_FILE": w.AdminFile()}[name]
	})
	require.NoError(t, err)
	w.admin, err = agentidp.NewClient(config)
	require.NoError(t, err)
}

// register makes an agent that may read notes and echo, with a secret or with the keys.
func (w *world) register(t *testing.T, name string, jwks json.RawMessage) (agentidp.Agent, agentidp.Config) {
	t.Helper()
	agent, err := w.admin.CreateAgent(t.Context(), agentidp.NewAgent{
		Email: name + "@example.com", AgentType: agentidp.AgentCustom, Version: "1.0.0", Owner: "sdk", DeploymentEnv: agentidp.EnvDevelopment,
		Capabilities: []string{"notes:read", "mcp:use", "mcp:tool/echo"}, JWKS: jwks,
	})
	require.NoError(t, err)
	made := agentidp.NewCredential{}
	if jwks != nil {
		made.AuthMethod = agentidp.AuthPrivateKeyJWT
	}
	credential, err := w.admin.CreateCredential(t.Context(), agent.AgentID, made)
	require.NoError(t, err)
	return agent, agentidp.Config{URL: w.Issuer(), ClientID: credential.ClientID, ClientSecret: credential.ClientSecret, Resources: []string{w.Resource()}}
}

// notes calls the protected API.
func (w *world) notes(ctx context.Context, client *http.Client) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Resource()+"/notes", nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}

func TestEndToEnd(t *testing.T) {
	w := newWorld(t, "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0")
	w.start(t)
	t.Run("private_key_jwt", w.privateKey)
	t.Run("examples", w.examples)
	t.Run("rotation of a secret", w.rotation)
	t.Run("suspension", w.suspension)
	t.Run("rotation of the IdP's keys", w.keyRotation)
	t.Run("restart of the IdP", w.restart)
}

func (w *world) privateKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	part := base64.RawURLEncoding.EncodeToString
	_, config := w.register(t, "signer", json.RawMessage(`{"keys":[{"kty":"EC","crv":"P-256","x":"`+part(point[1:33])+`","y":"`+part(point[33:])+`"}]}`))
	config.PrivateKey = key
	source, err := config.TokenSource()
	require.NoError(t, err)
	for range 2 { // two assertions
		status, err := w.notes(t.Context(), source.Client())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		source.Forget()
	}
	_, err = source.RotateSecret(t.Context(), 0, nil)
	require.ErrorContains(t, err, "no secret")
}

func (w *world) examples(t *testing.T) {
	agent, config := w.register(t, "example", nil)
	env := append(os.Environ(), "AGENTIDP_URL="+config.URL, "AGENTIDP_CLIENT_ID="+config.ClientID, "AGENTIDP_CLIENT_SECRET="+config.ClientSecret)
	run := func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), filepath.Join(w.bin, arguments[0]), arguments[1:]...)
		command.Env = env
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
		return string(output)
	}
	require.True(t, strings.HasPrefix(run("agent", w.Resource(), "/notes"), "200\n"))
	require.Equal(t, "echo: Gives it back.\n", run("mcp", w.Resource(), "/mcp"))

	const resource = "http://api.example.com"
	server := exec.CommandContext(t.Context(), filepath.Join(w.bin, "server"), resource, "127.0.0.1:0")
	server.Env = env
	output, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Kill())
		_ = server.Wait() // killed
	})
	address, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	source, err := config.WithResources(resource).TokenSource()
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+strings.TrimSpace(address)+"/hello", nil)
	require.NoError(t, err)
	response, err := source.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "hello, "+agent.AgentID+"\n", string(said))
}

func (w *world) rotation(t *testing.T) {
	_, config := w.register(t, "rotating", nil)
	source, err := config.TokenSource()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "credentials.json")
	store := func(_ context.Context, credential agentidp.CredentialWithSecret) error {
		content, err := json.Marshal(map[string]string{"url": w.Issuer(), "clientId": credential.ClientID, "clientSecret": credential.ClientSecret})
		if err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o600)
	}
	// Two callers ask for a new token before every call, until both have done so after the rotation.
	var rotated atomic.Bool
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for last := false; !last; {
				last = rotated.Load()
				source.Forget()
				if status, err := w.notes(t.Context(), source.Client()); err != nil || status != http.StatusOK {
					t.Errorf("a call failed: %d %v", status, err)
					return
				}
			}
		})
	}
	fresh, err := source.RotateSecret(t.Context(), time.Minute, store)
	rotated.Store(true)
	callers.Wait()
	require.NoError(t, err)
	require.NotEqual(t, config.ClientSecret, fresh.ClientSecret)
	stored, err := agentidp.FromFile(path)
	require.NoError(t, err)
	_, err = stored.IssueToken(t.Context())
	require.NoError(t, err)
	_, err = config.IssueToken(t.Context())
	require.NoError(t, err, "the old one is good for a minute")

	other := source.For() // of the same credential
	_, err = source.RotateSecret(t.Context(), time.Minute, func(context.Context, agentidp.CredentialWithSecret) error { return errors.New("disk full") })
	require.ErrorContains(t, err, "disk full")
	other.Forget()
	_, err = other.TokenContext(t.Context())
	require.NoError(t, err)
}

func (w *world) suspension(t *testing.T) {
	agent, config := w.register(t, "suspended", nil)
	source, err := config.TokenSource()
	require.NoError(t, err)
	client := source.Client()
	status, err := w.notes(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	token, err := source.Token()
	require.NoError(t, err)
	checks := map[string]func(*verify.Verifier) verify.Revocations{"introspection": verify.Introspection(w.admin), "status list": verify.StatusLists()}
	judge := func(revocation func(*verify.Verifier) verify.Revocations) error {
		v, err := verify.New(verify.Options{Issuer: w.Issuer(), Audience: w.Resource(), Revocation: revocation})
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), token.AccessToken)
		return err
	}
	for name, check := range checks {
		require.NoError(t, judge(check), name)
	}

	_, err = w.admin.SuspendAgent(t.Context(), agent.AgentID, "test")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := w.notes(t.Context(), client)
		var refused *agentidp.Error
		return errors.As(err, &refused) && refused.Code == "unauthorized_client"
	}, patience, 20*time.Millisecond, "the token is refused, and there is no other")
	for name, check := range checks {
		require.Eventually(t, func() bool {
			var refused *verify.Error
			return errors.As(judge(check), &refused) && refused.Reason == verify.TokenRevoked
		}, patience, 50*time.Millisecond, name)
	}

	_, err = w.admin.ReactivateAgent(t.Context(), agent.AgentID, "")
	require.NoError(t, err)
	status, err = w.notes(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
}

func (w *world) keyRotation(t *testing.T) {
	_, config := w.register(t, "keys", nil)
	old, err := config.IssueToken(t.Context())
	require.NoError(t, err)
	ahead := atomic.Int64{} // seconds: later than any cool-down
	v, err := verify.New(verify.Options{Issuer: w.Issuer(), Audience: w.Resource(), Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Second) }})
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), old.AccessToken)
	require.NoError(t, err)
	_, err = w.admin.RotateKey(t.Context(), agentidp.KeyRotation{Emergency: true, Reason: "test"})
	require.NoError(t, err)
	fresh, err := config.IssueToken(t.Context())
	require.NoError(t, err)
	ahead.Store(30)
	_, err = v.Verify(t.Context(), fresh.AccessToken)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), old.AccessToken)
	var refused *verify.Error
	require.ErrorAs(t, err, &refused)
	require.EqualValues(t, "unknown_key", refused.Reason)
}

func (w *world) restart(t *testing.T) {
	_, config := w.register(t, "restart", nil)
	source, err := config.TokenSource()
	require.NoError(t, err)
	client := source.Client()
	require.Eventually(t, func() bool {
		status, err := w.notes(t.Context(), client)
		return err == nil && status == http.StatusOK
	}, patience, 20*time.Millisecond, "the sidecar has heard of the new key")
	require.NoError(t, w.StopIdP())
	status, err := w.notes(t.Context(), client)
	require.NoError(t, err, "the kept token is good")
	require.Equal(t, http.StatusOK, status)
	source.Forget()
	_, err = w.notes(t.Context(), client)
	require.ErrorContains(t, err, "no answer")
	require.NoError(t, w.StartIdP(t.Context()))
	status, err = w.notes(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
}

func TestARateLimitOfTheIdPIsATypedErrorWithItsTime(t *testing.T) {
	w := newWorld(t, "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=1")
	require.NoError(t, w.Prepare())
	require.NoError(t, w.StartIdP(t.Context()))
	w.administrate(t)
	var refused *agentidp.Error
	require.Eventually(t, func() bool {
		_, err := w.admin.Keys(t.Context())
		return errors.As(err, &refused)
	}, time.Minute, time.Millisecond)
	require.Equal(t, http.StatusTooManyRequests, refused.Status)
	require.Positive(t, refused.RetryAfter)
	require.True(t, refused.Temporary())
}
