package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var treeFacts = []fact{
	{"starts empty", func(t *testing.T, b Backend) {
		require.Zero(t, treeSize(t, b.DB))
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) ([][32]byte, error) {
			return tx.Tree.Hashes(ctx, []int64{0})
		})
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.Checkpoint, error) {
			return tx.Tree.LatestCheckpoint(ctx)
		})
	}},
	{"hashes come back in the order asked for", func(t *testing.T, b Backend) {
		var all [][32]byte
		for _, leaves := range []int{1, 2, 63, 64, 1, 500, 129} { // across the ends of any chunk
			all = append(all, grow(t, b.DB, leaves)...)
		}
		require.Equal(t, int64(760), treeSize(t, b.DB))
		indexes := []int64{int64(len(all)) - 1, 0, 1, 63, 64, 65, 0, 127, 128, 1000}
		for i := range int64(len(all)) {
			indexes = append(indexes, i)
		}
		got := hashes(t, b.DB, indexes)
		for i, index := range indexes {
			require.Equal(t, all[index], got[i], index)
		}
		require.Empty(t, hashes(t, b.DB, nil))
		for _, beyond := range []int64{int64(len(all)), 1 << 40, -1} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) ([][32]byte, error) {
				return tx.Tree.Hashes(ctx, []int64{0, beyond})
			})
		}
	}},
	{"proofs from the stored hashes hold", func(t *testing.T, b Backend) {
		for range 5 {
			grow(t, b.DB, 23)
		}
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			stored := hashes(t, b.DB, indexes)
			found := make([]tlog.Hash, len(stored))
			for i := range stored {
				found[i] = stored[i]
			}
			return found, nil
		})
		root, err := tlog.TreeHash(115, reader)
		require.NoError(t, err)
		for leaf := range int64(115) {
			proof, err := tlog.ProveRecord(115, leaf, reader)
			require.NoError(t, err)
			require.NoError(t, tlog.CheckRecord(proof, 115, root, leaf, tlog.RecordHash(leafData(leaf))))
		}
	}},
	{"an append that does not continue the tree conflicts", func(t *testing.T, b Backend) {
		grow(t, b.DB, 3)
		for _, first := range []int64{0, 3, 5} {
			refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error {
				return tx.Tree.Append(ctx, first, [][32]byte{{1}}, 4)
			})
		}
		require.Equal(t, int64(3), treeSize(t, b.DB))
	}},
	{"an append rolls back with its transaction", func(t *testing.T, b Backend) {
		before := grow(t, b.DB, 3)
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Tree.Append(ctx, 4, [][32]byte{{1}, {2}, {3}}, 4))
			size, err := tx.Tree.Size(ctx)
			require.NoError(t, err)
			require.Equal(t, int64(4), size)
			return errFact
		})
		require.Equal(t, before, hashes(t, b.DB, []int64{0, 1, 2, 3}))
		grow(t, b.DB, 2)
		require.Equal(t, int64(5), treeSize(t, b.DB))
	}},
	{"the latest checkpoint is the largest", func(t *testing.T, b Backend) {
		for _, size := range []int64{5, 900, 7, 900} {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Tree.SaveCheckpoint(ctx, checkpoint(size)) })
		}
		require.Equal(t, checkpoint(900), read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.Checkpoint, error) {
			return tx.Tree.LatestCheckpoint(ctx)
		}))
		after := func(size int64, limit int) []store.Checkpoint {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) ([]store.Checkpoint, error) {
				return tx.Tree.Checkpoints(ctx, size, limit)
			})
		}
		require.Equal(t, []store.Checkpoint{checkpoint(5), checkpoint(7), checkpoint(900), checkpoint(900)}, after(-1, 10))
		require.Equal(t, []store.Checkpoint{checkpoint(7), checkpoint(900)}, after(5, 2))
		require.Empty(t, after(900, 10))
	}},
	{"checkpoints refuse UPDATE and DELETE from anyone", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Tree.SaveCheckpoint(ctx, checkpoint(5)) })
		for _, tamper := range []string{"UPDATE checkpoints SET size = 6", "DELETE FROM checkpoints"} {
			require.Error(t, b.Exec(t.Context(), tamper), tamper)
		}
		require.NoError(t, b.Exec(t.Context(), "DELETE FROM checkpoints WHERE size = 99"), "the statement itself is fine")
	}},
}

func checkpoint(size int64) store.Checkpoint {
	return store.Checkpoint{Size: size, Note: fmt.Appendf(nil, "log\n%d\n\n— log \xff\n", size), CreatedAt: noon.Add(time.Duration(size) * time.Second)}
}

func leafData(leaf int64) []byte { return fmt.Appendf(nil, "leaf %d", leaf) }

// grow appends leaves in one transaction and returns their stored hashes.
func grow(t *testing.T, db store.DB, leaves int) [][32]byte {
	t.Helper()
	var added [][32]byte
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		size, err := tx.Tree.Size(ctx)
		require.NoError(t, err)
		first := tlog.StoredHashCount(size)
		added = nil
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			found := make([]tlog.Hash, len(indexes))
			for i, index := range indexes {
				if index >= first {
					found[i] = added[index-first]
					continue
				}
				stored, err := tx.Tree.Hashes(ctx, []int64{index})
				if err != nil {
					return nil, err
				}
				found[i] = stored[0]
			}
			return found, nil
		})
		for leaf := size; leaf < size+int64(leaves); leaf++ {
			fresh, err := tlog.StoredHashes(leaf, leafData(leaf), reader)
			require.NoError(t, err)
			for _, hash := range fresh {
				added = append(added, hash)
			}
		}
		return tx.Tree.Append(ctx, first, added, size+int64(leaves))
	})
	return added
}

func treeSize(t *testing.T, db store.DB) int64 {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (int64, error) { return tx.Tree.Size(ctx) })
}

func hashes(t *testing.T, db store.DB, indexes []int64) [][32]byte {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([][32]byte, error) { return tx.Tree.Hashes(ctx, indexes) })
}
