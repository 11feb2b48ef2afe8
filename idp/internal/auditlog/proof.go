package auditlog

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Inclusion proves that a leaf is in a tree (RFC 6962 section 2.1.1). Hashes are base64.
type Inclusion struct {
	LeafIndex int64       `json:"leafIndex"`
	TreeSize  int64       `json:"treeSize"`
	LeafHash  tlog.Hash   `json:"leafHash"`
	RootHash  tlog.Hash   `json:"rootHash"`
	Hashes    []tlog.Hash `json:"hashes"`
}

// Consistency proves that the first tree is a prefix of the second (RFC 6962 section 2.1.2).
type Consistency struct {
	FirstSize  int64       `json:"firstSize"`
	SecondSize int64       `json:"secondSize"`
	FirstRoot  tlog.Hash   `json:"firstRoot"`
	SecondRoot tlog.Hash   `json:"secondRoot"`
	Hashes     []tlog.Hash `json:"hashes"`
}

// Checkpoint is the latest signed checkpoint: a C2SP signed note.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	var latest store.Checkpoint
	err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		latest, err = tx.Tree.LatestCheckpoint(ctx)
		return err
	})
	if errors.Is(err, idp.ErrNotFound) {
		return nil, apierr.New(apierr.NotFound, "no checkpoint is signed yet").WithReason("not_found")
	}
	if err != nil {
		return nil, readError(err)
	}
	return latest.Note, nil
}

// VerifierKey is the public key that checkpoints verify under.
func (l *Log) VerifierKey() string { return l.key.VerifierKey() }

// Inclusion proves leaf index in the tree of size leaves; size 0 means the
// tree of the latest checkpoint that holds the leaf, else the whole tree.
func (l *Log) Inclusion(ctx context.Context, index, size int64) (Inclusion, error) {
	proof := Inclusion{LeafIndex: index, TreeSize: size}
	err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		whole, err := tx.Tree.Size(ctx)
		if err != nil {
			return fmt.Errorf("tree size: %w", err)
		}
		if proof.TreeSize == 0 {
			if proof.TreeSize, err = provable(ctx, tx, index, whole); err != nil {
				return err
			}
		}
		if index < 0 || index >= proof.TreeSize {
			return apierr.Invalid(apierr.Field{Field: "leafIndex", Rule: fmt.Sprintf("must be from 0 to %d, below the tree size", proof.TreeSize-1)})
		}
		if proof.TreeSize > whole {
			return apierr.Invalid(apierr.Field{Field: "treeSize", Rule: fmt.Sprintf("must be at most %d, the size of the log", whole)})
		}
		return proof.fill(ctx, tx.Tree)
	})
	if err != nil {
		return Inclusion{}, readError(err)
	}
	return proof, nil
}

func provable(ctx context.Context, tx *store.Tx, index, whole int64) (int64, error) {
	latest, err := tx.Tree.LatestCheckpoint(ctx)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return 0, fmt.Errorf("latest checkpoint: %w", err)
	}
	if latest.Size > index {
		return latest.Size, nil
	}
	return whole, nil
}

func (p *Inclusion) fill(ctx context.Context, tree store.Tree) error {
	reader := stored{ctx, tree}
	hashes, err := tlog.ProveRecord(p.TreeSize, p.LeafIndex, reader)
	if err != nil {
		return fmt.Errorf("inclusion proof: %w", err)
	}
	leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, p.LeafIndex)})
	if err != nil {
		return err
	}
	p.Hashes, p.LeafHash = append([]tlog.Hash{}, hashes...), leaf[0]
	p.RootHash, err = root(ctx, tree, p.TreeSize)
	return err
}

// Consistency proves that the tree of first leaves is a prefix of that of second.
func (l *Log) Consistency(ctx context.Context, first, second int64) (Consistency, error) {
	proof := Consistency{FirstSize: first, SecondSize: second}
	err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		whole, err := tx.Tree.Size(ctx)
		if err != nil {
			return fmt.Errorf("tree size: %w", err)
		}
		if first < 1 || first > second {
			return apierr.Invalid(apierr.Field{Field: "first", Rule: "must be from 1 to second"})
		}
		if second > whole {
			return apierr.Invalid(apierr.Field{Field: "second", Rule: fmt.Sprintf("must be at most %d, the size of the log", whole)})
		}
		hashes, err := tlog.ProveTree(second, first, stored{ctx, tx.Tree})
		if err != nil {
			return fmt.Errorf("consistency proof: %w", err)
		}
		proof.Hashes = append([]tlog.Hash{}, hashes...)
		if proof.FirstRoot, err = root(ctx, tx.Tree, first); err != nil {
			return err
		}
		proof.SecondRoot, err = root(ctx, tx.Tree, second)
		return err
	})
	if err != nil {
		return Consistency{}, readError(err)
	}
	return proof, nil
}
