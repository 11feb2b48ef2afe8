package auditlog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// leaves are the rows that one transaction appends, in order.
type leaves struct {
	first  int64 // sequence of rows[0]
	rows   []store.EventRow
	hashes [][sha256.Size]byte // of the rows' bodies, RFC 6962 section 2.1
}

// add numbers the entries, anew when the transaction reruns, and hashes them. All
// bodies are parts of one allocation.
func (s *leaves) add(entries []entry) {
	const leafPrefix = 0
	size := 0
	for i := range entries {
		size += 1 + entries[i].leaf.room()
	}
	bytes := make([]byte, 0, size)
	s.rows, s.hashes = slices.Grow(s.rows, len(entries)), slices.Grow(s.hashes, len(entries))
	for i := range entries {
		row := entries[i].row
		row.Sequence = s.first + int64(len(s.rows))
		start := len(bytes)
		bytes = entries[i].leaf.appendUnder(append(bytes, leafPrefix), row.Sequence)
		row.Body = bytes[start+1 : len(bytes) : len(bytes)]
		s.rows, s.hashes = append(s.rows, row), append(s.hashes, sha256.Sum256(bytes[start:]))
	}
}

// cut leaves only the first n.
func (s *leaves) cut(n int) { s.rows, s.hashes = s.rows[:n], s.hashes[:n] }

// store writes the rows and the tree hashes that they complete; the next rows follow them.
func (s *leaves) store(ctx context.Context, tx *store.Tx) error {
	if len(s.rows) == 0 {
		return nil
	}
	if err := tx.Events.Append(ctx, s.rows); err != nil {
		return fmt.Errorf("append events: %w", err)
	}
	failpoint.Hit(failpoint.AuditEvents)
	tree, err := readFrontier(ctx, tx.Tree, s.first)
	if err != nil {
		return err
	}
	hashes := make([][sha256.Size]byte, 0, 2*len(s.hashes)+len(tree.roots))
	for _, hash := range s.hashes {
		hashes = tree.grow(hashes, hash)
	}
	if err := tx.Tree.Append(ctx, tlog.StoredHashCount(s.first), hashes, tree.size); err != nil {
		return fmt.Errorf("append tree: %w", err)
	}
	*s = leaves{first: tree.size}
	return nil
}
