package postgres

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Hashes are kept in chunks of chunkHashes; the schema says the same.
const (
	chunkHashes = 32
	hashSize    = tlog.HashSize
)

type tree struct{ *transaction }

const treeSize = `SELECT size FROM tree_head WHERE id = 1`

// The writers' lock is held already: this one stands where that has failed.
const treeLock = `SELECT size FROM tree_head WHERE id = 1 FOR UPDATE`

// treeHead is how the tree stood when a writing transaction took its turn: its
// size, and the chunks of hashes that an append was expected to want. It saves two
// round trips, and is what the transaction itself would have read.
type treeHead struct {
	size   int64 // -1: there is no head
	chunks map[int64][]byte
}

func (t tree) Size(ctx context.Context) (int64, error) {
	if t.head != nil && t.head.size >= 0 {
		if err := t.usable(ctx); err != nil {
			return 0, err
		}
		return t.head.size, nil
	}
	if t.writing {
		return t.number(ctx, treeLock)
	}
	return t.number(ctx, treeSize)
}

// One statement: hashes go in only if the head stands where they begin.
const treeAppend = `
WITH head AS (
    UPDATE tree_head SET size = $2 WHERE id = 1 AND size = $1
    RETURNING id)
INSERT INTO tree_hashes (chunk, place, hashes)
SELECT run.first / 32, run.first % 32, run.hashes
FROM head
CROSS JOIN unnest($3::bigint[], $4::bytea[]) AS run (first, hashes)`

// Append answers idp.ErrConflict when first is not where the stored hashes end.
func (t tree) Append(ctx context.Context, first int64, hashes [][32]byte, size int64) error {
	before, fits := leavesBefore(first)
	after := first + int64(len(hashes))
	if !fits || size < before || after != tlog.StoredHashCount(size) || len(hashes) == 0 {
		return t.refuse(ctx, first, after, size)
	}
	t.head = nil
	firsts, runs := cutRuns(first, hashes)
	kept, err := t.exec(ctx, treeAppend, before, size, firsts, runs)
	if err == nil && kept == 0 {
		return fmt.Errorf("%w: the tree does not hold %d hashes", idp.ErrConflict, first)
	}
	if err == nil {
		t.frontier = frontier(size)
	}
	return err
}

// frontier are the chunks with the roots of the complete subtrees of so many
// leaves, which an append to them reads.
func frontier(size int64) []int64 {
	chunks := []int64{}
	for level := 62; level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		number := tlog.StoredHashIndex(level, size>>level-1) / chunkHashes
		if !slices.Contains(chunks, number) {
			chunks = append(chunks, number)
		}
	}
	return chunks
}

// leavesBefore is how many leaves have exactly first hashes.
func leavesBefore(first int64) (leaves int64, exact bool) {
	if first < 0 {
		return 0, false
	}
	level, leaves := tlog.SplitStoredHashIndex(first)
	return leaves, level == 0
}

// refuse says what is wrong with an append that cannot be right.
func (t tree) refuse(ctx context.Context, first, after, size int64) error {
	if err := t.writable(); err != nil {
		return err
	}
	before, err := t.Size(ctx)
	switch {
	case err != nil:
		return err
	case first != tlog.StoredHashCount(before):
		return fmt.Errorf("%w: the tree holds %d hashes, not %d", idp.ErrConflict, tlog.StoredHashCount(before), first)
	case size == before && after == first:
		return nil // nothing to append
	default:
		return fmt.Errorf("tree of %d leaves does not have %d hashes", size, after)
	}
}

// cutRuns cuts the hashes where chunks end.
func cutRuns(first int64, hashes [][32]byte) (firsts []int64, runs [][]byte) {
	for len(hashes) > 0 {
		fits := min(int64(len(hashes)), chunkHashes-first%chunkHashes)
		run := make([]byte, 0, fits*hashSize)
		for _, hash := range hashes[:fits] {
			run = append(run, hash[:]...)
		}
		firsts, runs = append(firsts, first), append(runs, run)
		first, hashes = first+fits, hashes[fits:]
	}
	return firsts, runs
}

func (t tree) Hashes(ctx context.Context, indexes []int64) ([][32]byte, error) {
	chunks, err := t.chunks(ctx, indexes)
	if err != nil {
		return nil, err
	}
	hashes := make([][32]byte, len(indexes))
	for i, index := range indexes {
		chunk, at := chunks[index/chunkHashes], index%chunkHashes*hashSize
		if index < 0 || at+hashSize > int64(len(chunk)) {
			return nil, fmt.Errorf("%w: tree hash %d", idp.ErrNotFound, index)
		}
		copy(hashes[i][:], chunk[at:])
	}
	return hashes, nil
}

// run is a row of tree_hashes.
type run struct {
	first  int64
	hashes []byte
}

func scanRun(r row) (found run, err error) {
	err = r.Scan(&found.first, &found.hashes)
	return found, err
}

const treeChunks = `
SELECT chunk * 32 + place, hashes
FROM tree_hashes
WHERE chunk = ANY ($1::bigint[])
ORDER BY chunk, place`

// chunks are the hashes stored around the indexes, by chunk number.
func (t tree) chunks(ctx context.Context, indexes []int64) (map[int64][]byte, error) {
	var wanted []int64
	for _, index := range indexes {
		if number := index / chunkHashes; !slices.Contains(wanted, number) {
			wanted = append(wanted, number)
		}
	}
	if len(wanted) == 0 {
		return map[int64][]byte{}, nil
	}
	if t.head != nil && t.head.holds(wanted) {
		return t.head.chunks, t.usable(ctx)
	}
	runs, err := list(ctx, t.transaction, treeChunks, scanRun, wanted)
	if err != nil {
		return nil, err
	}
	return gather(wanted, runs), nil
}

func (h *treeHead) holds(wanted []int64) bool {
	return !slices.ContainsFunc(wanted, func(number int64) bool {
		_, held := h.chunks[number]
		return !held
	})
}

// gather puts runs in order together to chunks, each up to the first hash that is missing.
func gather(wanted []int64, runs []run) map[int64][]byte {
	chunks := make(map[int64][]byte, len(wanted))
	for _, number := range wanted {
		chunks[number] = nil
	}
	for _, r := range runs {
		number := r.first / chunkHashes
		if r.first%chunkHashes*hashSize == int64(len(chunks[number])) {
			chunks[number] = append(chunks[number], r.hashes...)
		}
	}
	return chunks
}

const treeSaveCheckpoint = `INSERT INTO checkpoints (size, note, created_at) VALUES ($1, $2, $3)`

func (t tree) SaveCheckpoint(ctx context.Context, c store.Checkpoint) error {
	_, err := t.exec(ctx, treeSaveCheckpoint, c.Size, c.Note, c.CreatedAt.UnixMilli())
	return err
}

const treeLatestCheckpoint = `SELECT size, note, created_at FROM checkpoints ORDER BY size DESC, id DESC LIMIT 1`

func (t tree) LatestCheckpoint(ctx context.Context) (store.Checkpoint, error) {
	return get(ctx, t.transaction, treeLatestCheckpoint, scanCheckpoint)
}

func scanCheckpoint(r row) (c store.Checkpoint, err error) {
	err = r.Scan(&c.Size, &c.Note, moment{&c.CreatedAt})
	return c, err
}

const treeCheckpoints = `
SELECT size, note, created_at
FROM checkpoints
WHERE size > $1
ORDER BY size, id
LIMIT $2`

func (t tree) Checkpoints(ctx context.Context, after int64, limit int) ([]store.Checkpoint, error) {
	return list(ctx, t.transaction, treeCheckpoints, scanCheckpoint, after, limit)
}
