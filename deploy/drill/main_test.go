// Package drill_test plays an operator's worst day and his most delicate one on
// the real programs and on servers of its own: the store is destroyed and put
// back by the commands of docs/runbooks/restore.md, and the schema changes under
// replicas of the version before. Each prints one line with its figures.
package drill_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

const (
	top      = "../.."
	patience = time.Minute // for a state that comes soon on a machine that is not busy
)

// programs is the folder with the product's programs as they are in this tree.
func programs(t *testing.T) string {
	t.Helper()
	return commandtest.Build(t, "", nil, "idp/cmd/agentidp", "sidecar/cmd/agentidp-sidecar")
}

// await waits for a state.
func await(t *testing.T, what string, state func() bool) {
	t.Helper()
	require.Eventually(t, state, patience, 5*time.Millisecond, what)
}

// sh runs commands as an operator types them, each of which must do what it should.
func sh(t *testing.T, dir string, env []string, commands string) (printed string) {
	t.Helper()
	printed, err := try(dir, env, commands)
	require.NoError(t, err, "%s\n%s", commands, printed)
	return printed
}

func try(dir string, env []string, commands string) (printed string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-euc", commands)
	command.Dir, command.Env = dir, env
	command.WaitDelay = time.Second
	output, err := command.CombinedOutput()
	return string(output), err
}

// documented are the commands that a page shows behind a mark, <!-- drill: … -->.
func documented(t *testing.T, page, mark string) (commands string) {
	t.Helper()
	content := read(t, filepath.Join(top, "docs", page))
	_, rest, found := strings.Cut(content, "<!-- drill: "+mark+" -->\n")
	require.True(t, found, "%s shows no commands for %q", page, mark)
	for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
		switch {
		case strings.HasPrefix(line, "    "):
			commands += strings.TrimLeft(line, " ")
		case strings.TrimSpace(line) != "":
			require.NotEmpty(t, commands, "%s shows no commands for %q", page, mark)
			return commands
		}
	}
	return commands
}
