package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// What comes with the turn is what the transaction would read, also after another
// replica has appended, and no more of it once it has appended itself.
func TestTheTreeComesWithTheTurn(t *testing.T) {
	address := fresh(t)
	s, other := openURL(t, address), openURL(t, address)
	size := int64(0)
	begin := func(expected bool) {
		t.Helper()
		require.NoError(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
			require.NotNil(t, tx.head)
			require.Equal(t, size, tx.head.size)
			var indexes []int64
			for level := range 62 {
				if size>>level&1 == 1 {
					indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
				}
			}
			require.Equal(t, expected, tx.head.holds(frontier(size)))
			got, err := tree{tx}.Hashes(ctx, indexes)
			require.NoError(t, err)
			for i, index := range indexes {
				require.Equal(t, treeHash(index), got[i])
			}
			growTree(ctx, t, tx.tx(), 3)
			require.Nil(t, tx.head)
			grownTo, err := tree{tx}.Size(ctx)
			require.NoError(t, err)
			require.Equal(t, size+3, grownTo)
			return nil
		}))
		size += 3
	}
	grown(t, s, 1) // the first turn makes the writer's row and brings nothing
	size = 1
	for range 15 {
		begin(true)
	}
	grown(t, other, 70)
	size += 70
	begin(false)
	begin(true)
}

// Replicas that append at once do so to what the one before left, though they read
// it in the statement that begins their turns.
func TestReplicasGrowOneTree(t *testing.T) {
	address := fresh(t)
	replicas := []*Store{openURL(t, address), openURL(t, address)}
	failures := make(chan error, 4*25)
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() {
			for range 25 {
				failures <- replicas[n%2].Update(t.Context(), growByWhatIsThere)
			}
		})
	}
	writers.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	total := tlog.StoredHashCount(100)
	require.Equal(t, int(total), count(t, address, "SELECT sum(length(hashes)) / 32 FROM tree_hashes"))
}

// growByWhatIsThere appends a leaf once it has read what a real one needs.
func growByWhatIsThere(ctx context.Context, tx *store.Tx) error {
	size, err := tx.Tree.Size(ctx)
	if err != nil {
		return err
	}
	var indexes []int64
	for level := range 62 {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	got, err := tx.Tree.Hashes(ctx, indexes)
	if err != nil {
		return errors.Join(fmt.Errorf("of %d leaves", size), err)
	}
	for i, index := range indexes {
		if got[i] != treeHash(index) {
			return fmt.Errorf("hash %d is another's", index)
		}
	}
	first := tlog.StoredHashCount(size)
	hashes := make([][32]byte, tlog.StoredHashCount(size+1)-first)
	for i := range hashes {
		hashes[i] = treeHash(first + int64(i))
	}
	return tx.Tree.Append(ctx, first, hashes, size+1)
}
