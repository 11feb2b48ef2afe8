package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// made is a closed store with one setting, at a path.
func made(t *testing.T, path, setting string) {
	t.Helper()
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, setting) }))
	require.NoError(t, s.Close())
}

// crashed is a store whose write-ahead log was never moved into its file.
func crashed(t *testing.T, path, setting string) {
	t.Helper()
	alive := filepath.Join(t.TempDir(), "alive.db")
	s, err := Open(t.Context(), alive)
	require.NoError(t, err)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, setting) }))
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(alive + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
	}
	require.NoError(t, s.Close())
}

func TestReplace(t *testing.T) {
	folder := t.TempDir()
	path, staged, aside := filepath.Join(folder, "agentidp.db"), filepath.Join(folder, "staged.db"), filepath.Join(folder, "aside")
	other := filepath.Join(folder, "other")
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	crashed(t, path, "old")
	made(t, staged, "new")
	claim, err := Take(path)
	require.NoError(t, err)
	_, err = Open(t.Context(), path)
	require.ErrorIs(t, err, ErrInUse)
	_, err = Take(path)
	require.ErrorIs(t, err, ErrInUse)
	at, err := claim.Replace(staged, aside, other)
	require.NoError(t, err)
	require.Equal(t, aside, at)
	require.NoError(t, claim.Release())

	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.True(t, has(t, s, "new"))
	require.False(t, has(t, s, "old"), "the log of the old one is not played into it")
	require.NoError(t, s.integrity(t.Context()))
	require.NoError(t, s.Close())
	old, err := Open(t.Context(), filepath.Join(aside, "agentidp.db"))
	require.NoError(t, err)
	require.True(t, has(t, old, "old"), "the old one is whole, with its log")
	require.NoError(t, old.Close())
	require.FileExists(t, filepath.Join(aside, "other"))
	require.NoFileExists(t, other)
}

// cutOff makes a Replace fail at its rename of what is not there.
func cutOff(t *testing.T, path, aside string, others ...string) {
	t.Helper()
	claim, err := Take(path)
	require.NoError(t, err)
	_, err = claim.Replace(filepath.Join(filepath.Dir(path), "none.db"), aside, others...)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, claim.Release())
}

// Whatever was moved when it was cut off, nothing opens until it is done.
func TestAReplaceThatIsCutOff(t *testing.T) {
	folder := t.TempDir()
	path, other := filepath.Join(folder, "agentidp.db"), filepath.Join(folder, "other")
	crashed(t, path, "old")
	require.NoError(t, os.WriteFile(other, []byte("of the old"), 0o600))
	cutOff(t, path, filepath.Join(folder, "first"), other)
	require.FileExists(t, other, "the next try looks at it")
	_, err := Open(t.Context(), path)
	require.ErrorIs(t, err, ErrReplacing, "rather than a new, empty store")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = OpenReadOnly(t.Context(), path)
	require.ErrorIs(t, err, ErrReplacing)
	require.NoError(t, os.Remove(path))

	staged, second := filepath.Join(folder, "staged.db"), filepath.Join(folder, "second")
	made(t, staged, "new")
	claim, err := Take(path)
	require.NoError(t, err)
	at, err := claim.Replace(staged, second, other)
	require.NoError(t, err)
	require.Equal(t, second, at)
	s, err := claim.OpenReadOnly(t.Context())
	require.NoError(t, err)
	require.True(t, has(t, s, "new"))
	require.NoError(t, s.Close())
	require.NoError(t, claim.Release())
	require.FileExists(t, filepath.Join(second, "other"))
	old, err := Open(t.Context(), filepath.Join(folder, "first", "agentidp.db"))
	require.NoError(t, err)
	require.True(t, has(t, old, "old"))
	require.NoError(t, old.Close())
}

// The log had moved and its file had not: the next try brings them together.
func TestAReplaceThatIsCutOffBetweenLogAndFile(t *testing.T) {
	folder := t.TempDir()
	path, first, staged := filepath.Join(folder, "agentidp.db"), filepath.Join(folder, "first"), filepath.Join(folder, "staged.db")
	crashed(t, path, "old")
	t.Chdir(folder)
	cutOff(t, path, "first")
	t.Chdir(t.TempDir()) // the next try begins elsewhere
	require.NoError(t, os.Rename(filepath.Join(first, "agentidp.db"), path))
	made(t, staged, "new")
	claim, err := Take(path)
	require.NoError(t, err)
	at, err := claim.Replace(staged, filepath.Join(folder, "second"))
	require.NoError(t, err)
	require.Equal(t, first, at)
	require.NoError(t, claim.Release())
	old, err := Open(t.Context(), filepath.Join(first, "agentidp.db"))
	require.NoError(t, err)
	require.True(t, has(t, old, "old"))
	require.NoError(t, old.Close())
}

func TestWhatCannotBeClaimed(t *testing.T) {
	_, err := Take(filepath.Join(t.TempDir(), "none", "agentidp.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	claim, err := Take(filepath.Join(t.TempDir(), "agentidp.db"))
	require.NoError(t, err)
	_, err = claim.OpenReadOnly(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = claim.Replace("staged", filepath.Join(file, "aside"))
	require.Error(t, err)
	require.NoError(t, claim.Release())
}
