package auditlog

import (
	"context"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// stored reads hashes of the tree inside one transaction.
type stored struct {
	ctx  context.Context
	tree store.Tree
}

// ReadHashes implements tlog.HashReader.
func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	raw, err := s.tree.Hashes(s.ctx, indexes)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	hashes := make([]tlog.Hash, len(raw))
	for i, h := range raw {
		hashes[i] = h
	}
	return hashes, nil
}

// frontier is what appending to a tree needs of it: the roots of its complete
// subtrees, by level, one for each bit that is set in its size.
type frontier struct {
	size  int64
	roots []tlog.Hash
}

func readFrontier(ctx context.Context, tree store.Tree, size int64) (*frontier, error) {
	height := bits.Len64(uint64(size))
	f := &frontier{size: size, roots: make([]tlog.Hash, height, height+1)}
	indexes, levels := make([]int64, 0, height), make([]int, 0, height)
	for level := height - 1; level >= 0; level-- { // largest first
		if size>>level&1 == 1 {
			indexes, levels = append(indexes, tlog.StoredHashIndex(level, size>>level-1)), append(levels, level)
		}
	}
	hashes, err := stored{ctx, tree}.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	for i, level := range levels {
		f.roots[level] = hashes[i]
	}
	return f, nil
}

// grow adds a leaf, and to hashes, in the order of tlog.StoredHashIndex, its hash
// and those of the subtrees that it completes.
func (f *frontier) grow(hashes [][tlog.HashSize]byte, leaf tlog.Hash) [][tlog.HashSize]byte {
	hash, level := leaf, 0
	hashes = append(hashes, hash)
	for ; f.size>>level&1 == 1; level++ {
		hash = tlog.NodeHash(f.roots[level], hash)
		hashes = append(hashes, hash)
	}
	if level == len(f.roots) {
		f.roots = append(f.roots, hash)
	}
	f.roots[level] = hash
	f.size++
	return hashes
}

func root(ctx context.Context, tree store.Tree, size int64) (tlog.Hash, error) {
	hash, err := tlog.TreeHash(size, stored{ctx, tree})
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("root of %d events: %w", size, err)
	}
	return hash, nil
}
