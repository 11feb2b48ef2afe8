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
)

// The story again, with the built programs, curl and nothing but a shell.
func TestTheStoryFromTheShell(t *testing.T) {
	addresses, err := stack.Free()
	require.NoError(t, err)
	script, err := filepath.Abs("shell.sh")
	require.NoError(t, err)
	routes, err := filepath.Abs("../routes.yaml")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", script)
	command.Dir = t.TempDir()
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + command.Dir, "BIN=" + build(t), "ROUTES=" + routes, "IDP=" + addresses.IdP, "IDP_ADMIN=" + addresses.IdPAdmin,
		"SIDECAR=" + addresses.Sidecar, "SIDECAR_ADMIN=" + addresses.SidecarAdmin, "NOTES=" + addresses.Notes,
	}
	printed, err := command.CombinedOutput()
	require.NoError(t, err, string(printed))
	require.Equal(t, 13, strings.Count(string(printed), "ok: "), string(printed))
	require.NotContains(t, string(printed), "aidp_sk_")
}
