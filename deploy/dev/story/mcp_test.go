package story_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// toolUse is what a client of deploy/dev/clients prints.
type toolUse struct {
	Tools         []string
	Echo, Refused struct {
		Text, Error string
		IsError     bool
	}
}

// sdk is an official MCP SDK: the command lines of a server and of a client.
type sdk struct {
	name           string
	server, client []string
}

func sdks(t *testing.T) []sdk {
	t.Helper()
	clients, err := filepath.Abs(filepath.Join(root, ".cache/clients"))
	require.NoError(t, err)
	require.DirExists(t, clients, "run: make test-clients")
	python, err := filepath.Abs("../clients/python")
	require.NoError(t, err)
	interpreter, node, binary := filepath.Join(clients, "python/bin/python"), filepath.Join(clients, "node"), filepath.Join(clients, "mcp")
	return []sdk{
		{"go", []string{binary, "server"}, []string{binary, "client"}},
		{"node", []string{"node", filepath.Join(node, "mcp-server.mjs")}, []string{"node", filepath.Join(node, "mcp-client.mjs")}},
		{"python", []string{interpreter, filepath.Join(python, "mcp_server.py")}, []string{interpreter, filepath.Join(python, "mcp_client.py")}},
	}
}

// serveTools starts the SDK's server at path and returns its URL.
func serveTools(t *testing.T, s sdk, path string) (url string) {
	t.Helper()
	port := commandtest.FreePort(t, 10_000)
	server := exec.Command(s.server[0], append(s.server[1:], strconv.Itoa(port), path)...)
	var printed strings.Builder
	server.Stdout, server.Stderr = &printed, &printed
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Kill())
		_ = server.Wait() // killed
		if t.Failed() {
			t.Logf("%s server: %s", s.name, printed.String())
		}
	})
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		answer, err := http.Get(url + path)
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil
	}, time.Minute, 50*time.Millisecond)
	return url
}

// The official MCP SDKs, unmodified, each as server and as client: an agent
// sees and calls the tools that it was given, and no other. `make test-clients`
// installs them.
func TestUnmodifiedMCPSDKs(t *testing.T) {
	all := sdks(t)
	file := "upstreams:\n"
	routes := "routes:\n"
	for _, s := range all {
		path := "/" + s.name + "/mcp"
		file += fmt.Sprintf("  %s: {urls: [%q]}\n", s.name, serveTools(t, s, path))
		routes += fmt.Sprintf("  - {path: %s, methods: [GET, POST, DELETE], capability: \"mcp:use\", protocol: mcp, upstream: %s}\n", path, s.name)
	}
	s := newStack(t, build(t))
	s.Routes = filepath.Join(t.TempDir(), "routes.yaml")
	require.NoError(t, os.WriteFile(s.Routes, []byte(file+routes), 0o600))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	credential, err := s.Administrator()
	require.NoError(t, err)
	admin, err := s.Client(t.Context(), credential)
	require.NoError(t, err)
	registered, err := admin.Register(t.Context(), stack.Registration{
		Email: "tools@example.com", AgentType: "custom", Capabilities: []string{"mcp:use", "mcp:tool/echo", "mcp:tool/add"},
	})
	require.NoError(t, err)
	token, err := s.Config(stack.Credential{ClientID: registered.ClientID, ClientSecret: registered.ClientSecret}, s.Resource()).Token(t.Context())
	require.NoError(t, err)

	for _, server := range all {
		for _, client := range all {
			t.Run(client.name+" to "+server.name, func(t *testing.T) {
				run := exec.CommandContext(t.Context(), client.client[0], append(client.client[1:], s.Resource()+"/"+server.name+"/mcp", token.AccessToken)...)
				var trouble strings.Builder
				run.Stderr = &trouble
				printed, err := run.Output()
				require.NoError(t, err, trouble.String())
				var said toolUse
				require.NoError(t, json.Unmarshal(printed, &said), string(printed))
				require.Equal(t, []string{"add", "echo"}, said.Tools, "tools/list shows what the agent may call")
				require.Equal(t, "hello", said.Echo.Text, said.Echo.Error)
				require.NotEmpty(t, said.Refused.Error, "a tool that is not the agent's")
				require.NotContains(t, string(printed), "deleted")
			})
		}
	}
}
