package cli_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// A supervisor that stops a start which waits for its database sees no failure.
func TestAStartThatWaitsIsStopped(t *testing.T) {
	var output obstest.Output
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, command.Process{
			Args:    []string{"serve", "--addr", "127.0.0.1:0", "--data-dir", filepath.Join(t.TempDir(), "data")},
			Environ: []string{"DATABASE_URL=postgres://agentidp@nobody.invalid/agentidp", "AGENTIDP_MASTER_KEY=" + strings.Repeat("ab", 32)},
			Stdout:  &output, Stderr: &output,
		})
	}()
	require.Eventually(t, func() bool { return strings.Contains(output.String(), "store_unreachable") }, patience, tick, output.String())
	stop()
	require.Zero(t, <-ended, output.String())
	require.Contains(t, output.String(), "stopped before it was ready")
}
