package drill_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// previous builds the IdP of before the last change of a store's schema, and
// says which commit that is. The result stays in .cache for the next time.
func previous(t *testing.T, store string) (folder, commit string) {
	t.Helper()
	commit = before(t, "migrations/"+store)
	root, err := filepath.Abs(top)
	require.NoError(t, err)
	folder = filepath.Join(root, ".cache", "previous", commit)
	require.NoError(t, os.MkdirAll(folder, 0o700))
	lock, err := os.OpenFile(filepath.Join(folder, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer lock.Close()                                                 // which unlocks it
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)) // two runs may want it at once
	if _, err := os.Stat(filepath.Join(folder, "agentidp")); err == nil {
		return folder, commit
	}
	source := t.TempDir()
	archive := filepath.Join(source, "tree.tar")
	git(t, "archive", "--output="+archive, commit)
	sh(t, source, os.Environ(), "tar -xf tree.tar && rm tree.tar")
	// From another folder, yet from the cache of builds: -trimpath leaves the folder out of it.
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(folder, "agentidp.new"), "./idp/cmd/agentidp")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s does not build: %s", commit, output)
	require.NoError(t, os.Rename(filepath.Join(folder, "agentidp.new"), filepath.Join(folder, "agentidp")))
	return folder, commit
}

// before is the commit whose schema is one change behind this tree's: HEAD when
// the change is not committed yet, else what came before the newest commit that
// added a migration.
func before(t *testing.T, folder string) (commit string) {
	t.Helper()
	require.Equal(t, "false", git(t, "rev-parse", "--is-shallow-repository"), "the version before is in the history: git fetch --unshallow")
	for line := range strings.Lines(git(t, "status", "--porcelain", "--untracked-files=all", "--", folder)) {
		if strings.HasPrefix(line, "??") || strings.HasPrefix(line, "A") {
			return git(t, "rev-parse", "HEAD")
		}
	}
	added := git(t, "log", "-1", "--diff-filter=A", "--format=%H", "--", folder)
	require.NotEmpty(t, added, "the history has no commit that added a migration to %s", folder)
	return git(t, "rev-parse", "--verify", added+"^")
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("git", args...)
	command.Dir = top
	output, err := command.Output()
	require.NoError(t, err, "git %s: the version before is built from the history: this needs a clone, not a copy of the files", strings.Join(args, " "))
	return strings.TrimSpace(string(output))
}
