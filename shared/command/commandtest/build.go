package commandtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sentryagent/agentidp"

// built are the commands that this process has built, by variant.
var built struct {
	sync.Mutex
	folders map[string]string // guarded by Mutex
}

// Build builds commands of the module (such as "idp/cmd/agentidp") for tests and
// returns the folder that has them. All tests of a checkout share the folder, one
// for each variant: what is up to date there, the go command does not link again.
// flags make the variant, as -tags does; "" is the program as it is released,
// without its version.
func Build(t testing.TB, variant string, flags []string, commands ...string) (folder string) {
	t.Helper()
	// One folder, one build: even "-tags=" would undo what GOFLAGS says, and others would link again.
	require.Equal(t, variant == "", len(flags) == 0, "flags make a variant, and nothing else does")
	built.Lock()
	defer built.Unlock()
	key := fmt.Sprint(variant, commands)
	if folder := built.folders[key]; folder != "" {
		return folder
	}
	located := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	root, err := located.Output()
	require.NoError(t, err)
	folder = filepath.Join(strings.TrimSpace(string(root)), ".cache", "programs", variant)
	require.NoError(t, os.MkdirAll(folder, 0o700))

	lock, err := os.OpenFile(filepath.Join(folder, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer lock.Close()                                                 // which unlocks it
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)) // packages are tested side by side

	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", folder + "/"}, flags...)
	for _, command := range commands {
		args = append(args, module+"/"+command)
	}
	compile := exec.CommandContext(t.Context(), "go", args...)
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := compile.CombinedOutput()
	require.NoError(t, err, string(output))
	if built.folders == nil {
		built.folders = map[string]string{}
	}
	built.folders[key] = folder
	return folder
}
