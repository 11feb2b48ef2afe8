package failpoint_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// A release has no trace of the points, nor of what arms them.
func TestReleaseHasNone(t *testing.T) {
	build := func(variant string, flags ...string) []byte {
		content, err := os.ReadFile(filepath.Join(commandtest.Build(t, variant, flags, "idp/cmd/agentidp"), "agentidp"))
		require.NoError(t, err)
		return content
	}
	release, test := build(""), build("faultinject", "-tags=faultinject")
	traces := []string{"AGENTIDP_FAULT", "AGENTIDP_FAULT_CLOCK"}
	for _, point := range failpoint.Points() {
		traces = append(traces, point.String())
	}
	for _, trace := range traces {
		require.True(t, bytes.Contains(test, []byte(trace)), trace)
		require.False(t, bytes.Contains(release, []byte(trace)), trace)
	}
}
