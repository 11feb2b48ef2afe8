package story_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/deploy/dev/story"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

const root = "../../.."

func build(t *testing.T) (bin string) {
	t.Helper()
	return commandtest.Build(t, "", nil, "idp/cmd/agentidp", "sidecar/cmd/agentidp-sidecar", "deploy/dev/cmd/notes")
}

func newStack(t *testing.T, bin string) *stack.Stack {
	t.Helper()
	addresses, err := stack.Free()
	require.NoError(t, err)
	routes, err := filepath.Abs("../routes.yaml")
	require.NoError(t, err)
	return &stack.Stack{Addresses: addresses, Bin: bin, Dir: t.TempDir(), Routes: routes, IdPEnv: story.IdPEnv}
}

func TestTheStory(t *testing.T) {
	s := newStack(t, build(t))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	passed, failed := story.Play(ctx, s, func(r story.Result) {
		t.Logf("%s (%s) %s", r.Title, r.Took.Round(time.Millisecond), r.Detail)
		require.NoError(t, r.Err, r.Title)
	})
	require.Zero(t, failed)
	require.Equal(t, 19, passed)
}

// Authlib and openid-client, unmodified, get a token and call the API with it.
// `make test-clients` installs them.
func TestUnmodifiedOAuthClients(t *testing.T) {
	clients, err := filepath.Abs(filepath.Join(root, ".cache/clients"))
	require.NoError(t, err)
	require.DirExists(t, clients, "run: make test-clients")
	python, err := filepath.Abs("../clients/python/client.py")
	require.NoError(t, err)

	s := newStack(t, build(t))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	credential, err := s.Administrator()
	require.NoError(t, err)
	admin, err := s.Client(t.Context(), credential)
	require.NoError(t, err)
	agent, err := admin.Register(t.Context(), stack.Registration{Email: "client@example.com", AgentType: "custom", Capabilities: []string{"notes:read"}})
	require.NoError(t, err)

	for name, command := range map[string][]string{
		"Authlib":       {filepath.Join(clients, "python/bin/python"), python, s.Issuer() + "/api/v1/token", s.Resource(), s.Resource() + "/notes"},
		"openid-client": {"node", filepath.Join(clients, "node/client.mjs"), s.Issuer(), s.Resource(), s.Resource() + "/notes"},
	} {
		run := exec.CommandContext(t.Context(), command[0], command[1:]...)
		run.Env = append(os.Environ(), "CLIENT_ID="+agent.ClientID, "CLIENT_SECRET="+agent.ClientSecret)
		printed, err := run.CombinedOutput()
		require.NoError(t, err, "%s: %s", name, printed)
		require.True(t, strings.HasPrefix(string(printed), "200 "), "%s: %s", name, printed)
		require.Contains(t, string(printed), agent.AgentID, name)
	}
}
