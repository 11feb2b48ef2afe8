package cli_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// world is an IdP and somebody's shell.
type world struct {
	*testing.T
	idp    *idptest.IdP
	home   string
	env    []string
	screen idptest.Credential // an agent that reads notes
	other  idptest.Credential // another one, nobody's profile
}

// newWorld has the administrator logged in, as the profile "default".
func newWorld(t *testing.T) *world { return newWorldOf(t, idptest.Start(t)) }

func newWorldOf(t *testing.T, idp *idptest.IdP) *world {
	w := &world{T: t, idp: idp, home: t.TempDir()}
	require.Eventually(t, func() bool { return w.api("/health")["status"] == "ok" }, patience, tick, "every dependency was looked at")
	w.env = []string{"XDG_CONFIG_HOME=" + w.home}
	w.screen = w.idp.Register("screener-001@example.com", "notes:read")
	w.other = w.idp.Register("other@example.com", "notes:read", "notes:write")
	w.logIn("default", w.idp.Admin)
	return w
}

func (w *world) logIn(profile string, c idptest.Credential) {
	w.Helper()
	stdout, _ := w.input(c.ClientSecret+"\n", 0, "login", "--profile", profile, "--url", w.idp.URL, "--client-id", c.ClientID)
	require.Contains(w, stdout, "logged in to "+w.idp.URL)
	require.NotContains(w, stdout, c.ClientSecret)
}

func (w *world) input(stdin string, status int, args ...string) (stdout, stderr string) {
	w.Helper()
	var o, e obstest.Output
	got := cli.Run(w.Context(), command.Process{Args: args, Environ: w.env, Stdin: strings.NewReader(stdin), Stdout: &o, Stderr: &e})
	require.Equal(w, status, got, "%v: %s%s", args, o.String(), e.String())
	return o.String(), e.String()
}

// run wants success and gives what was printed.
func (w *world) run(args ...string) string {
	w.Helper()
	stdout, _ := w.input("", 0, args...)
	return stdout
}

// fails wants the exit status and one line that says why.
func (w *world) fails(status int, args ...string) string {
	w.Helper()
	_, stderr := w.input("", status, args...)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	require.True(w, strings.HasPrefix(lines[len(lines)-1], "agentidp: "), stderr)
	return lines[len(lines)-1]
}

// object runs with -o json and decodes what was printed.
func (w *world) object(args ...string) (object map[string]any) {
	w.Helper()
	require.NoError(w, json.Unmarshal([]byte(w.run(append(args, "-o", "json")...)), &object))
	return object
}

// api is the API's own answer.
func (w *world) api(path string) (object map[string]any) {
	w.Helper()
	w.idp.Call(http.MethodGet, path, nil, &object)
	return object
}

// recorded wants the reason in the metadata of the latest event of an action.
func (w *world) recorded(action, reason string) {
	w.Helper()
	events := w.api("/api/v1/audit?limit=1&action=" + action)["data"].([]any)
	require.Equal(w, reason, events[0].(map[string]any)["metadata"].(map[string]any)["reason"], action)
}

func (w *world) file(name, content string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	require.NoError(w, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (w *world) read(path string) []byte {
	w.Helper()
	content, err := os.ReadFile(path)
	require.NoError(w, err)
	return content
}
