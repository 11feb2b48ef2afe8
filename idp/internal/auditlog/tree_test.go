package auditlog

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// heldTree is a tree in memory that answers for hashes only.
type heldTree struct {
	store.Tree
	hashes [][32]byte
}

func (h *heldTree) Hashes(_ context.Context, indexes []int64) ([][32]byte, error) {
	found := make([][32]byte, len(indexes))
	for i, index := range indexes {
		found[i] = h.hashes[index]
	}
	return found, nil
}

// Whatever the batches, the hashes are those of tlog in its order.
func TestTheTreeGrowsAsTlogHasIt(t *testing.T) {
	var want [][32]byte
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = want[index]
		}
		return found, nil
	})
	held := &heldTree{}
	size := int64(0)
	for _, batch := range []int{1, 1, 2, 3, 1, 8, 17, 64, 1, 31, 500, 2} {
		f, err := readFrontier(t.Context(), held, size)
		require.NoError(t, err)
		fresh := [][32]byte{}
		for range batch {
			leaf := sha256.Sum256([]byte{byte(size), byte(size >> 8)})
			fresh = f.grow(fresh, leaf)
			hashes, err := tlog.StoredHashesForRecordHash(size, leaf, reader)
			require.NoError(t, err)
			for _, hash := range hashes {
				want = append(want, hash)
			}
			size++
		}
		require.Equal(t, size, f.size)
		held.hashes = append(held.hashes, fresh...)
		require.Equal(t, want, held.hashes)
	}
}
