package durable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/durable"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, durable.WriteFile(path, []byte("one")))
	require.NoError(t, durable.WriteFile(path, []byte("two")))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAFailedWriteLeavesTheOldContentAndNothingBeside(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	require.NoError(t, durable.WriteFile(path, []byte("old")))
	half := errors.New("half way")
	require.ErrorIs(t, durable.Replace(path, func(w io.Writer) error {
		_, err := w.Write([]byte("ne"))
		require.NoError(t, err)
		return half
	}), half)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(content))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestAFolderThatIsNotThere(t *testing.T) {
	require.ErrorIs(t, durable.WriteFile(filepath.Join(t.TempDir(), "none", "file"), nil), os.ErrNotExist)
	require.ErrorIs(t, durable.SyncDir(filepath.Join(t.TempDir(), "none")), os.ErrNotExist)
}
