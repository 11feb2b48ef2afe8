package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// growTree appends leaves whose hashes are their indexes.
func growTree(ctx context.Context, t *testing.T, tx *store.Tx, leaves int) {
	t.Helper()
	size, err := tx.Tree.Size(ctx)
	require.NoError(t, err)
	first, after := tlog.StoredHashCount(size), tlog.StoredHashCount(size+int64(leaves))
	hashes := make([][32]byte, after-first)
	for i := range hashes {
		hashes[i] = treeHash(first + int64(i))
	}
	require.NoError(t, tx.Tree.Append(ctx, first, hashes, size+int64(leaves)))
}

func treeHash(index int64) [32]byte { return [32]byte{byte(index), byte(index >> 8), 1} }

func grown(t *testing.T, s *Store, leaves int) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		growTree(ctx, t, tx, leaves)
		return nil
	}))
}

func stored(t *testing.T, s *Store, indexes ...int64) ([][32]byte, error) {
	t.Helper()
	var hashes [][32]byte
	err := s.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		hashes, err = tx.Tree.Hashes(ctx, indexes)
		return err
	})
	return hashes, err
}

func TestTreeRowsEndWhereChunksEnd(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	for _, leaves := range []int{1, 1, 14, 200} {
		grown(t, s, leaves)
	}
	total := tlog.StoredHashCount(216)
	for index := range total {
		got, err := stored(t, s, index)
		require.NoError(t, err)
		require.Equal(t, [][32]byte{treeHash(index)}, got)
	}
	require.Equal(t, int(total), count(t, address, "SELECT sum(length(hashes)) / 32 FROM tree_hashes"))
}

// Rows that an insider removed or added must not shift what is behind them.
func TestAHashThatIsNotWhereItBelongsIsMissing(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	for range 8 {
		grown(t, s, 1) // hashes 0; 1 2; 3; 4 5 6; 7; 8 9; 10; 11 12 13 14
	}
	require.NoError(t, execute(t.Context(), address, "SET session_replication_role = replica; DELETE FROM tree_hashes WHERE place = 3"))
	require.NoError(t, execute(t.Context(), address, "INSERT INTO tree_hashes SELECT 0, 2, hashes FROM tree_hashes WHERE place = 0"))
	got, err := stored(t, s, 0, 1, 2)
	require.NoError(t, err)
	require.Equal(t, [][32]byte{treeHash(0), treeHash(1), treeHash(2)}, got)
	for _, index := range []int64{3, 4, 14} {
		_, err := stored(t, s, index)
		require.ErrorIs(t, err, idp.ErrNotFound)
	}
	for _, forged := range []string{
		"INSERT INTO tree_hashes VALUES (1, 0, '')", "INSERT INTO tree_hashes VALUES (1, 0, '\\x00')",
		"INSERT INTO tree_hashes SELECT 1, 31, hashes FROM tree_hashes WHERE place = 1", "INSERT INTO tree_hashes SELECT 1, 32, hashes FROM tree_hashes WHERE place = 0",
	} {
		require.Error(t, execute(t.Context(), address, forged), forged)
	}
}

func TestTreeAppendSaysWhatIsWrong(t *testing.T) {
	s := opened(t)
	grown(t, s, 3)
	attempt := func(first int64, hashes int, size int64) error {
		return s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.Tree.Append(ctx, first, make([][32]byte, hashes), size)
		})
	}
	for _, first := range []int64{-1, 0, 2, 3, 7} {
		require.ErrorIs(t, attempt(first, 3, 4), idp.ErrConflict, first)
	}
	require.ErrorIs(t, attempt(3, 1, 3), idp.ErrConflict, "what the tree of two leaves has is refused by the head")
	for _, wrong := range []struct {
		hashes int
		size   int64
	}{{1, 4}, {4, 4}, {3, 5}, {0, 2}, {0, 4}} {
		err := attempt(4, wrong.hashes, wrong.size)
		require.ErrorContains(t, err, "does not have", wrong)
		require.NotErrorIs(t, err, idp.ErrConflict)
	}
	require.NoError(t, attempt(4, 0, 3), "nothing")
	require.NoError(t, attempt(4, 3, 4))
}
