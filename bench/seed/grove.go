package seed

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// grove is the tree's right edge: the roots of its complete subtrees, at most
// one a level, which is all that growing needs.
type grove struct {
	size  int64 // leaves
	roots map[int64]tlog.Hash
}

// newGrove reads the edge of a tree of so many leaves.
func newGrove(size int64, read tlog.HashReader) (*grove, error) {
	g := &grove{size: size, roots: map[int64]tlog.Hash{}}
	var indexes []int64
	for level := range 63 {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	if len(indexes) == 0 {
		return g, nil
	}
	hashes, err := read.ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("the tree of %d events: %w", size, err)
	}
	for i, index := range indexes {
		g.roots[index] = hashes[i]
	}
	return g, nil
}

// ReadHashes implements tlog.HashReader.
func (g *grove) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = g.roots[index]
	}
	return found, nil
}

// grow adds a leaf and returns the hashes that it completes, in storage order.
func (g *grove) grow(body []byte) ([][32]byte, error) {
	leaf := g.size
	hashes, err := tlog.StoredHashes(leaf, body, g)
	if err != nil {
		return nil, err
	}
	g.size++
	completed := make([][32]byte, len(hashes))
	for level, hash := range hashes {
		completed[level] = hash
		if level > 0 { // its left half is never asked for again
			delete(g.roots, tlog.StoredHashIndex(level-1, leaf>>(level-1)-1))
		}
	}
	top := len(hashes) - 1
	g.roots[tlog.StoredHashIndex(top, leaf>>top)] = hashes[top]
	return completed, nil
}

// run is a piece of the tree's hashes within one chunk.
type run struct {
	chunk, place int64
	hashes       []byte
}

// cut cuts the hashes that the events complete where chunks of so many end.
func cut(batch []event, chunk int64) []run {
	var runs []run
	at := tlog.StoredHashCount(batch[0].sequence)
	for i := range batch {
		for _, hash := range batch[i].hashes {
			if len(runs) == 0 || at%chunk == 0 {
				runs = append(runs, run{chunk: at / chunk, place: at % chunk})
			}
			last := &runs[len(runs)-1]
			last.hashes = append(last.hashes, hash[:]...)
			at++
		}
	}
	return runs
}
