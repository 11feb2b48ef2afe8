package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

const (
	patience = time.Minute
	tick     = 5 * time.Millisecond
)

func TestProfiles(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.home, "agentidp", "profiles.json")
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	w.logIn("screener", w.screen)
	require.Equal(t, w.screen.AgentID, subject(w, "token", "get"), "the last one is current")
	require.NotEqual(t, w.screen.AgentID, subject(w, "token", "get", "--profile", "default"))
	listed := w.run("profiles", "list")
	require.Regexp(t, `(?m)^screener +http\S+ +aidp_c_\w{22} +current$`, listed)
	require.NotRegexp(t, secretForm, listed)

	w.run("profiles", "use", "default")
	require.NotEqual(t, w.screen.AgentID, subject(w, "token", "get"))
	named := *w
	named.env = append(named.env, "AGENTIDP_PROFILE=screener")
	require.Equal(t, w.screen.AgentID, subject(&named, "token", "get"))

	// The environment counts as a whole; the file of a secret is one of its ways.
	environ := *w
	environ.env = append(environ.env, "AGENTIDP_URL="+w.idp.URL, "AGENTIDP_CLIENT_ID="+w.other.ClientID, "AGENTIDP_CLIENT_SECRET_FILE="+w.file("secret", w.other.ClientSecret+"\n"))
	require.Equal(t, w.other.AgentID, subject(&environ, "token", "get"))
	half := *w
	half.env = append(half.env, "AGENTIDP_CLIENT_ID="+w.other.ClientID)
	require.Contains(t, half.fails(2, "token", "get"), "AGENTIDP_URL", "a profile's secret does not go elsewhere")

	require.NoError(t, os.Chmod(path, 0o640))
	require.Contains(t, w.fails(1, "token", "get"), "chmod 600")
	require.NoError(t, os.Chmod(path, 0o600))
	w.fails(2, "profiles", "use", "nobody")
	w.fails(2, "logout", "--profile", "nobody")
	w.run("logout")
	require.Contains(t, w.fails(4, "token", "get"), "nobody is logged in")
	w.run("logout", "--all")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(content), "aidp_")

	nowhere := *w
	nowhere.env = nil
	require.Contains(t, nowhere.fails(1, "token", "get"), "XDG_CONFIG_HOME")
	nowhere.env = []string{"HOME=" + t.TempDir()}
	nowhere.fails(4, "token", "get")
}

// subject is whose token the command got.
func subject(w *world, args ...string) string {
	w.Helper()
	raw := w.run(args...)
	stdout, _ := w.input(raw, 0, append([]string{"token", "inspect", "-o", "json"}, args[2:]...)...)
	var inspected struct{ Claims struct{ Sub string } }
	require.NoError(w, json.Unmarshal([]byte(stdout), &inspected))
	return inspected.Claims.Sub
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	content, err := json.Marshal(w.screen)
	require.NoError(t, err)
	require.Contains(t, w.run("login", "--url", w.idp.URL, "--credential-file", w.file("credential.json", string(content))), "with notes:read")
	w.run("login", "--url", w.idp.URL, "--client-id", w.screen.ClientID, "--secret-file", w.file("secret", w.screen.ClientSecret))
	w.run("login", "--url", w.idp.URL, "--client-id", w.screen.ClientID, "--client-secret", w.screen.ClientSecret)
	for _, wrong := range [][]string{
		{"--client-id", w.screen.ClientID, "--client-secret", "x"},
		{"--url", w.idp.URL, "--client-secret", "x"},
		{"--url", w.idp.URL, "--client-id", w.screen.ClientID},
		{"--url", "ftp://x", "--client-id", w.screen.ClientID, "--client-secret", "x"},
		{"--url", w.idp.URL, "--credential-file", w.file("bad.json", "{}")},
		{"--profile", "../x", "--url", w.idp.URL},
	} {
		w.fails(2, append([]string{"login"}, wrong...)...)
	}
	line := w.fails(4, "login", "--profile", "wrong", "--url", w.idp.URL, "--client-id", w.screen.ClientID, "--client-secret", "aidp_sk_nonsense")
	require.NotContains(t, line, "nonsense")
	require.NotContains(t, w.run("profiles", "list"), "wrong", "what does not work is not kept")
	w.fails(1, "login", "--url", w.idp.URL, "--client-id", "x", "--client-secret", "x", "--ca-file", w.file("ca.pem", "none"))
}

func TestTailFollows(t *testing.T) {
	w := newWorld(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr obstest.Output
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, command.Process{Args: []string{"audit", "tail", "-f", "--every", "100ms", "--action", "agent.suspended", "-o", "json"}, Environ: w.env, Stdout: &stdout, Stderr: &stderr})
	}()
	for _, agent := range []string{w.screen.AgentID, w.other.AgentID} {
		w.run("agents", "suspend", agent)
		require.Eventually(t, func() bool { return strings.Contains(stdout.String(), agent) }, patience, tick, stderr.String())
	}
	interrupt()
	require.Zero(t, <-ended, stderr.String())
	require.Equal(t, 2, strings.Count(stdout.String(), "\n"), "each once, on a line of its own")
}

// What others wrote cannot drive the terminal of who looks at it.
func TestHostileTextIsShownAsItsEscape(t *testing.T) {
	w := newWorld(t)
	w.run("agents", "update", w.screen.AgentID, "--metadata", `{"x":"\u001b]0;pwned\u0007 \u202e"}`)
	require.NotContains(t, w.run("agents", "get", w.screen.AgentID), "\x1b")
	_, stderr := w.input("", 3, "credentials", "revoke", w.screen.AgentID, "aidp_c_\x1b[2J", "--yes")
	require.NotContains(t, stderr, "\x1b")
	require.Contains(t, stderr, `\x1b`)
}
