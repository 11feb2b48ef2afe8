package sqlite

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Hashes are kept in chunks of chunkHashes; the schema says the same.
const (
	chunkHashes = 64
	hashSize    = tlog.HashSize
)

type tree struct{ *transaction }

const treeSize = `SELECT size FROM tree_head WHERE id = 1`

func (t tree) Size(ctx context.Context) (int64, error) { return t.number(ctx, treeSize) }

const treeResize = `UPDATE tree_head SET size = ?2 WHERE id = 1 AND size = ?1`

// Append answers idp.ErrConflict when first is not where the stored hashes end.
func (t tree) Append(ctx context.Context, first int64, hashes [][32]byte, size int64) error {
	before, err := t.Size(ctx)
	if err != nil {
		return err
	}
	if first != tlog.StoredHashCount(before) {
		return fmt.Errorf("%w: the tree holds %d hashes, not %d", idp.ErrConflict, tlog.StoredHashCount(before), first)
	}
	if after := first + int64(len(hashes)); size < before || after != tlog.StoredHashCount(size) {
		return fmt.Errorf("tree of %d leaves does not have %d hashes", size, after)
	}
	if err := t.keep(ctx, first, hashes); err != nil {
		return err
	}
	return t.touch(ctx, treeResize, before, size)
}

const treeExtend = `UPDATE tree_hashes SET hashes = ?2 WHERE chunk = ?1`

const treeInsert = `INSERT INTO tree_hashes (chunk, hashes) VALUES (?1, ?2)`

// keep fills up the last chunk and adds new ones.
func (t tree) keep(ctx context.Context, first int64, hashes [][32]byte) error {
	for len(hashes) > 0 {
		query, chunk, held := treeInsert, []byte(nil), first%chunkHashes
		if held > 0 {
			var err error
			if chunk, err = t.chunk(ctx, first/chunkHashes); err != nil {
				return err
			}
			if int64(len(chunk)) != held*hashSize {
				return fmt.Errorf("tree hashes end at %d bytes of chunk %d, not at %d", len(chunk), first/chunkHashes, held*hashSize)
			}
			query = treeExtend
		}
		fits := min(int64(len(hashes)), chunkHashes-held)
		for _, hash := range hashes[:fits] {
			chunk = append(chunk, hash[:]...)
		}
		if _, err := t.exec(ctx, query, first/chunkHashes, chunk); err != nil {
			return err
		}
		first, hashes = first+fits, hashes[fits:]
	}
	return nil
}

const treeChunk = `SELECT hashes FROM tree_hashes WHERE chunk = ?1`

func (t tree) chunk(ctx context.Context, number int64) ([]byte, error) {
	return get(ctx, t.transaction, treeChunk, scanBytes, number)
}

func scanBytes(r row) (b []byte, err error) {
	err = r.Scan(&b)
	return b, err
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

// chunksAtOnce is more than what appending needs of a tree of ten million leaves.
const chunksAtOnce = 16

// No number is -1: so the list is filled up.
const treeChunks = `
SELECT chunk, hashes
FROM tree_hashes
WHERE chunk IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)`

// chunks are those that hold the indexes, by number, as far as they exist.
func (t tree) chunks(ctx context.Context, indexes []int64) (map[int64][]byte, error) {
	chunks := make(map[int64][]byte)
	var wanted []any
	for _, index := range indexes {
		number := index / chunkHashes
		if _, known := chunks[number]; !known {
			chunks[number], wanted = nil, append(wanted, number)
		}
	}
	for rest := wanted; len(rest) > 0; {
		var args [chunksAtOnce]any
		n := copy(args[:], rest)
		for i := n; i < chunksAtOnce; i++ {
			args[i] = int64(-1)
		}
		found, err := list(ctx, t.transaction, treeChunks, scanChunk, args[:]...)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			chunks[c.number] = c.hashes
		}
		rest = rest[n:]
	}
	return chunks, nil
}

type chunk struct {
	number int64
	hashes []byte
}

func scanChunk(r row) (c chunk, err error) {
	err = r.Scan(&c.number, &c.hashes)
	return c, err
}

const treeSaveCheckpoint = `INSERT INTO checkpoints (size, note, created_at) VALUES (?1, ?2, ?3)`

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
WHERE size > ?1
ORDER BY size, id
LIMIT ?2`

func (t tree) Checkpoints(ctx context.Context, after int64, limit int) ([]store.Checkpoint, error) {
	return list(ctx, t.transaction, treeCheckpoints, scanCheckpoint, after, limit)
}
