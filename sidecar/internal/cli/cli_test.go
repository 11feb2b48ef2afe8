package cli_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/cli"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock, which never ends, and its pools' cleaners, which sleep once more after the last connection.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

const routes = "routes:\n  - {methods: [GET], path: /open, capability: public}\n"

func run(environ []string, args ...string) (status int, stdout, stderr string) {
	var out, err obstest.Output
	status = cli.Run(context.Background(), command.Process{Args: args, Environ: environ, Stdout: &out, Stderr: &err})
	return status, out.String(), err.String()
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// settings are enough for a sidecar of a foreign issuer.
func settings(t *testing.T, upstream string) []string {
	t.Helper()
	return []string{
		"AGENTIDP_SIDECAR_UPSTREAM=" + upstream, "AGENTIDP_SIDECAR_ISSUER=http://127.0.0.1:1", "AGENTIDP_SIDECAR_AUDIENCE=https://notes.example.com",
		"AGENTIDP_SIDECAR_ROUTES=" + file(t, "routes.yaml", routes), "AGENTIDP_SIDECAR_FEED=off", "AGENTIDP_SIDECAR_DATA_DIR=" + t.TempDir(),
	}
}

func TestUsage(t *testing.T) {
	for _, fact := range []struct {
		args   []string
		status int
		stdout string
		stderr string
	}{
		{[]string{"--version"}, 0, "agentidp-sidecar ", ""},
		{[]string{"--help"}, 0, "check-config", ""},
		{nil, 0, "Available Commands", ""},
		{[]string{"serve", "--help"}, 0, "--revocation-max-stale", ""},
		{[]string{"check-config", "--help"}, 0, "opens no port", ""},
		{[]string{"serve"}, 2, "", "upstream: is required"},
		{[]string{"serve", "now"}, 2, "", "takes no arguments"},
		{[]string{"serve", "--what"}, 2, "", "unknown flag: --what"},
		{[]string{"--what"}, 2, "", "unknown flag: --what"},
		{[]string{"srve"}, 2, "", `unknown command "srve"`},
		{[]string{"check-config", "--config", "/nowhere.yaml"}, 2, "", "cannot be opened"},
		{[]string{"check-config", "--jwks-ttl", "soon"}, 2, "", "jwks_ttl (flag --jwks-ttl): must be a duration"},
	} {
		status, stdout, stderr := run(nil, fact.args...)
		require.Equal(t, fact.status, status, fact.args)
		require.Contains(t, stdout, fact.stdout, fact.args)
		require.Contains(t, stderr, fact.stderr, fact.args)
		require.NotContains(t, stdout+stderr, "client-secret", "a secret has no flag")
	}
}

func TestCheckConfig(t *testing.T) {
	environ := settings(t, "http://127.0.0.1:2")
	status, stdout, stderr := run(append(environ, "AGENTIDP_SIDECAR_UPSTREEM=x"), "check-config", "--log-level", "debug")
	require.Zero(t, status, stderr)
	require.Contains(t, stderr, `warning: environment variable "AGENTIDP_SIDECAR_UPSTREEM" is not a setting`)
	require.Contains(t, stdout, "upstream: http://127.0.0.1:2\n")
	require.Contains(t, stdout, "log_level: debug\n")

	written := file(t, "sidecar.yaml", "feed: on\nclient_id: aidp_c_x\nclient_secret: very-secret\norganizations: [one, two]\n")
	status, stdout, stderr = run(append(environ, "AGENTIDP_SIDECAR_FEED="), "check-config", "--config", written)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "organizations: one,two\n")
	require.Contains(t, stdout, "client_secret: ********\n")
	require.NotContains(t, stdout, "very-secret")

	policy := filepath.Dir(file(t, "authz.rego", "package agentidp.authz\n\ndecision := "))
	status, _, stderr = run(environ, "check-config", "--policy-dir", policy)
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "policy_dir: ")
}

func TestServe(t *testing.T) {
	upstream := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(upstream.Close)
	addr := freeAddr(t)
	environ := append(settings(t, upstream.URL), "AGENTIDP_SIDECAR_ADDR="+addr, "AGENTIDP_SIDECAR_ADMIN_ADDR=127.0.0.1:0",
		"AGENTIDP_SIDECAR_POLICY_DIR="+folder(t, "decision := {\"allow\": true, \"reason\": \"open\"}\n", ""))
	ctx, cancel := context.WithCancel(context.Background())
	var stderr obstest.Output
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, command.Process{Args: []string{"serve"}, Environ: environ, Stdout: &stderr, Stderr: &stderr})
	}()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	waitFor(t, func() bool {
		answer, err := client.Get("http://" + addr + "/open")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusNotFound && answer.Header.Get("X-AgentIdP-Error") == ""
	}, "the upstream answers through the sidecar")
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	waitFor(t, func() bool { return strings.Count(stderr.String(), `"msg":"reloaded"`) == 2 }, "routes and policy are reloaded")
	cancel()
	require.Zero(t, <-ended, stderr.String())

	// What cannot start is a failure, not a usage error.
	listener, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	defer listener.Close()
	status, _, text := run(environ, "serve")
	require.Equal(t, 1, status)
	require.Contains(t, text, "listen on addr")
}

func waitFor(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond, what)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 10_000))
}
