package cli_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

func run(t *testing.T, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var o, e obstest.Output
	status = cli.Run(t.Context(), command.Process{Args: args, Environ: environ, Stdout: &o, Stderr: &e})
	return status, o.String(), e.String()
}

func TestHelpNamesEveryCommandAndSetting(t *testing.T) {
	status, stdout, _ := run(t, nil, "--help")
	require.Zero(t, status)
	for _, command := range []string{"serve", "check-config", "keys", "audit", "bootstrap"} {
		require.Contains(t, stdout, command)
	}
	status, stdout, _ = run(t, nil, "serve", "--help")
	require.Zero(t, status)
	for _, flag := range []string{"--addr", "--data-dir", "--issuer", "--token-ttl", "--config"} {
		require.Contains(t, stdout, flag)
	}
	require.NotContains(t, stdout, "--master-key", "a secret has no flag")
	for _, group := range []string{"keys", "audit", "bootstrap", "migrate", "credentials"} {
		status, stdout, _ = run(t, nil, group)
		require.Zero(t, status)
		require.Contains(t, stdout, "Usage")
	}
	status, stdout, _ = run(t, nil, "--version")
	require.Zero(t, status)
	require.Contains(t, stdout, "agentidp ")
	require.Contains(t, stdout, ", signing by "+app.SigningBackend(nil)+"\n")
	status, stdout, _ = run(t, []string{"AGENTIDP_SIGNER=batch"}, "--version")
	require.Zero(t, status)
	require.Contains(t, stdout, ", signing by batch\n")
}

func TestWrongUseExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "extra"}, {"serve", "--nonsense"}, {"keys", "nonsense"}, {"serve", "--token-ttl", "1s"}, {"serve", "--config", "/nowhere.yaml"},
		{"keys", "import"}, {"keys", "list", "--data-dir", "x"}, {"bootstrap", "reset"}, {"keys", "import", "--offline"},
	} {
		status, stdout, stderr := run(t, nil, args...)
		require.Equal(t, 2, status, "%v: %s", args, stderr)
		require.Contains(t, stderr, "agentidp: ", args)
		require.Empty(t, stdout, args)
	}
}

func TestCheckConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agentidp.yaml")
	require.NoError(t, os.WriteFile(file, []byte("token_ttl: 10m\nlog_level: debug\n"), 0o600))
	status, stdout, stderr := run(t, []string{"AGENTIDP_MASTER_KEY=" + strings.Repeat("ab", 32), "AGENTIDP_LOG_LEVEL=warn", "AGENTIDP_TYPO=1"}, "check-config", "--config", file, "--log-format", "text")
	require.Zero(t, status, stderr)
	for _, line := range []string{"token_ttl: 10m", "log_level: warn", "log_format: text", "master_key: ****"} {
		require.Contains(t, stdout, line)
	}
	require.NotContains(t, stdout, "abab")
	require.Contains(t, stderr, "AGENTIDP_TYPO")

	status, _, stderr = run(t, []string{"AGENTIDP_LOG_LEVEL=loud", "AGENTIDP_BCRYPT_COST=99"}, "check-config")
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "log_level")
	require.Contains(t, stderr, "bcrypt_cost")
}

func TestServeImportVerifyReset(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	offline := func(args ...string) (int, string, string) {
		return run(t, nil, append(args, "--offline", "--data-dir", data)...)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	status, kid, stderr := offline("keys", "import", "--pem", file)
	require.Zero(t, status, stderr)
	status, _, _ = offline("keys", "import", "--pem", "/nowhere.pem")
	require.Equal(t, 1, status)
	require.NoError(t, os.WriteFile(file, []byte("no key"), 0o600))
	status, _, _ = offline("keys", "import", "--pem", file)
	require.Equal(t, 1, status)
	status, stdout, _ := offline("keys", "list")
	require.Zero(t, status)
	require.Contains(t, stdout, strings.TrimSpace(kid))
	status, _, stderr = offline("bootstrap", "reset")
	require.Equal(t, 1, status, "there is no administrator yet")
	require.Contains(t, stderr, "never started")

	serve(t, data, func(issuer string, stderr *obstest.Output) {
		require.Contains(t, stderr.String(), "shown once")
		status, _, stderrOf := offline("audit", "verify")
		require.Equal(t, 1, status)
		require.Contains(t, stderrOf, "in use", "the IdP runs on the folder")
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "policy reloaded") }, time.Minute, 5*time.Millisecond)
	})

	status, stdout, stderr = offline("bootstrap", "reset")
	require.Zero(t, status, stderr)
	require.Regexp(t, regexp.MustCompile(`client secret aidp_sk_\w{49}`), stdout)
	status, stdout, stderr = offline("audit", "verify")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "valid: ")

	checkpoint := filepath.Join(data, "audit.checkpoint")
	status, _, _ = offline("audit", "verify", "--checkpoint", checkpoint)
	require.Zero(t, status)
	status, _, _ = offline("audit", "verify", "--checkpoint", "/nowhere")
	require.Equal(t, 1, status)
	require.NoError(t, os.WriteFile(checkpoint, []byte("not a checkpoint"), 0o600))
	status, stdout, _ = offline("audit", "verify")
	require.Equal(t, 1, status)
	require.Contains(t, stdout, "NOT VALID")
}

// A signal during the start is as good as one later.
func TestAStartThatIsEndedIsNoFailure(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	end()
	var stdout, stderr obstest.Output
	status := cli.Run(ctx, command.Process{Args: []string{"serve", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir()}, Stdout: &stdout, Stderr: &stderr})
	require.Zero(t, status, stderr.String())
	require.Contains(t, stderr.String(), "stopped before it was ready")
}

// serve runs the IdP while fn runs, then ends it as SIGTERM does.
func serve(t *testing.T, data string, fn func(issuer string, stderr *obstest.Output)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr obstest.Output
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, command.Process{Args: []string{"serve", "--addr", "127.0.0.1:0", "--data-dir", data}, Stdout: &stdout, Stderr: &stderr})
	}()
	address := regexp.MustCompile(`"issuer":"(http://[^"]+)"`)
	require.Eventually(t, func() bool {
		found := address.FindStringSubmatch(stderr.String())
		if found == nil {
			return false
		}
		answer, err := http.Get(found[1] + "/health")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 5*time.Millisecond, stderr.String())
	fn(address.FindStringSubmatch(stderr.String())[1], &stderr)
	cancel()
	http.DefaultClient.CloseIdleConnections()
	require.Zero(t, <-ended, stderr.String())
}
