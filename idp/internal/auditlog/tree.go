package auditlog

import (
	"context"
	"fmt"

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

// frontier reads what appending to a tree can need: the roots of its complete
// subtrees, fetched once, and the hashes added since.
type frontier struct {
	first int64 // stored index of fresh[0]
	old   map[int64]tlog.Hash
	fresh []tlog.Hash
}

func newFrontier(ctx context.Context, tree store.Tree, size int64) (*frontier, error) {
	var indexes []int64
	// The complete subtrees of size leaves: one per set bit, largest first.
	for level := 62; level >= 0; level-- {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	f := &frontier{first: tlog.StoredHashCount(size), old: make(map[int64]tlog.Hash, len(indexes))}
	hashes, err := stored{ctx, tree}.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	for i, index := range indexes {
		f.old[index] = hashes[i]
	}
	return f, nil
}

// ReadHashes implements tlog.HashReader.
func (f *frontier) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= f.first && index-f.first < int64(len(f.fresh)) {
			hashes[i] = f.fresh[index-f.first]
			continue
		}
		h, known := f.old[index]
		if !known {
			return nil, fmt.Errorf("tree hash %d is not on the frontier", index)
		}
		hashes[i] = h
	}
	return hashes, nil
}

func root(ctx context.Context, tree store.Tree, size int64) (tlog.Hash, error) {
	hash, err := tlog.TreeHash(size, stored{ctx, tree})
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("root of %d events: %w", size, err)
	}
	return hash, nil
}
