package failpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
)

// A release has no trace of the points, nor of what arms them.
func TestReleaseHasNone(t *testing.T) {
	build := func(tags string) []byte {
		path := filepath.Join(t.TempDir(), "agentidp")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags="+tags, "-o", path, "github.com/sentryagent/agentidp/idp/cmd/agentidp")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return content
	}
	release, test := build(""), build("faultinject")
	traces := []string{"AGENTIDP_FAULT", "AGENTIDP_FAULT_CLOCK"}
	for _, point := range failpoint.Points() {
		traces = append(traces, point.String())
	}
	for _, trace := range traces {
		require.True(t, bytes.Contains(test, []byte(trace)), trace)
		require.False(t, bytes.Contains(release, []byte(trace)), trace)
	}
}
