package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// swap puts /dev/null in the place of every open descriptor of the file. Opened
// for writing it takes every write and fails every sync; opened for reading it
// fails every write.
func swap(t *testing.T, path string, flags int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	swapped := 0
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
		if err != nil || target != path {
			continue
		}
		number, err := strconv.Atoi(entry.Name())
		require.NoError(t, err)
		null, err := syscall.Open("/dev/null", flags|syscall.O_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, syscall.Dup3(null, number, syscall.O_CLOEXEC))
		require.NoError(t, syscall.Close(null))
		swapped++
	}
	require.Positive(t, swapped)
}

func awaitFailure(t *testing.T, s *Store) {
	t.Helper()
	select {
	case <-s.Failed():
	case <-time.After(time.Minute):
		require.Fail(t, "the store did not stop")
	}
}

// After a disk failed to write or to sync, nothing is acknowledged any more,
// reads go on, and everything acknowledged before is there after a restart.
func TestFailingDiskStopsTheStore(t *testing.T) {
	for name, flags := range map[string]int{"sync of the log": os.O_RDWR, "write to the log": os.O_RDONLY} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "agentidp.db")
			s, err := Open(t.Context(), path)
			require.NoError(t, err)
			require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "acknowledged") }))
			swap(t, path+"-wal", flags)
			err = s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "lost") })
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorContains(t, err, "disk I/O error")
			awaitFailure(t, s)
			require.ErrorIs(t, s.Update(t.Context(), func(context.Context, *store.Tx) error { t.Error("ran"); return nil }), store.ErrUnavailable)
			require.ErrorIs(t, s.Ping(t.Context()), store.ErrUnavailable)
			_ = s.Close() // the log cannot be moved any more; the kill of the process is as good

			s, err = Open(t.Context(), path)
			require.NoError(t, err)
			require.True(t, has(t, s, "acknowledged"))
			require.NoError(t, s.Ping(t.Context()))
			require.NoError(t, s.Close())
		})
	}
}

// A checkpoint whose sync fails stops the store as well, though every commit so far is safe in the log.
func TestFailingCheckpointStopsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agentidp.db")
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	swap(t, path, os.O_RDWR)
	big := strings.Repeat("x", 1<<20)
	for i := range 20 {
		err := s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Settings.PutIfAbsent(ctx, strconv.Itoa(i), big)
			return err
		})
		if err != nil {
			require.ErrorIs(t, err, store.ErrUnavailable)
			break
		}
	}
	awaitFailure(t, s)
	require.ErrorContains(t, s.Ping(t.Context()), "disk I/O error")
	_ = s.Close()
}
