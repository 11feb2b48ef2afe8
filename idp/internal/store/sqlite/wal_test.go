package sqlite

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

func writeMegabyte(t *testing.T, s *Store, name string) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Settings.PutIfAbsent(ctx, name, strings.Repeat("x", 1<<20))
		return err
	}))
}

// idle waits until no checkpoint runs.
func idle(s *Store) {
	s.turn <- struct{}{}
	<-s.turn
}

func TestLogIsMovedIntoTheFileAsItGrows(t *testing.T) {
	s, path := reopenable(t)
	for i := range 50 {
		writeMegabyte(t, s, strconv.Itoa(i))
	}
	idle(s)
	file, err := os.Stat(path)
	require.NoError(t, err)
	require.Greater(t, file.Size(), int64(45<<20))
	log, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	require.Less(t, log.Size(), int64(20<<20))
}

// An open view keeps the part of the log that it may read, and the next checkpoint catches up.
func TestOpenViewHoldsTheLogBack(t *testing.T) {
	s, path := reopenable(t)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keys.List(ctx, store.UseToken)
		require.NoError(t, err)
		for i := range 20 {
			writeMegabyte(t, s, strconv.Itoa(i))
		}
		idle(s)
		log, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		require.Greater(t, log.Size(), int64(19<<20))
		return nil
	}))
	for i := range 18 {
		writeMegabyte(t, s, strconv.Itoa(20+i))
	}
	idle(s)
	file, err := os.Stat(path)
	require.NoError(t, err)
	require.Greater(t, file.Size(), int64(19<<20))
}
