//go:build monitoring

package monitoring_test

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// typed has promtool read what both programs say under load. Of our own metrics
// it may miss nothing but the help texts, which docs/operations.md has.
func typed(t *testing.T, s *stack.Stack) {
	t.Helper()
	for _, address := range []string{s.IdP, s.SidecarAdmin} {
		status, text := commandtest.Ask("http://" + address + "/metrics")
		require.Equal(t, http.StatusOK, status)
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = bytes.NewReader(text)
		said, err := check.CombinedOutput()
		if err != nil {
			require.Equal(t, 3, check.ProcessState.ExitCode(), "it cannot be read: %s", said)
		}
		for line := range strings.Lines(string(said)) {
			name, _, _ := strings.Cut(line, " ")
			ours := strings.HasPrefix(name, "agentidp_") || strings.HasPrefix(name, "sidecar_")
			require.True(t, !ours || strings.HasSuffix(line, " no help text\n"), line)
		}
	}
}
