package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// Contents say what a store holds.
type Contents struct {
	Events int64
	Root   tlog.Hash // of the tree of all events
	Signed int64     // events under the latest checkpoint, which agrees with the tree
	Schema int64     // version
	Bytes  int64     // of the file
}

// ErrServerBackup says that PostgreSQL is backed up with its own tools.
var ErrServerBackup = errors.New("the store is in PostgreSQL: back it up with pg_dump, or with base backups and WAL archiving (PITR), see docs/deployment.md, Backups")

// BackupOptions tune a Backup; the zero value works.
type BackupOptions struct {
	Force    bool                  // replace the file
	Progress func(done, total int) // told the pages copied
}

// Backup copies the embedded store to a file, beside an IdP that serves from it
// or without one, and says what the copy holds. The master key is not in it.
func Backup(ctx context.Context, cfg Config, file string, o BackupOptions) (held Contents, err error) {
	if cfg.DatabaseURL != "" {
		return held, ErrServerBackup
	}
	err = sqlite.Backup(ctx, cfg.StorePath(), file, sqlite.BackupOptions{
		Force: o.Force, Progress: o.Progress,
		Check: func(ctx context.Context, db store.DB) error {
			held, err = contents(ctx, db)
			return err
		},
	})
	if err != nil {
		return Contents{}, err
	}
	if held.Schema, err = schemaVersion(ctx, file); err != nil {
		return Contents{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return Contents{}, fmt.Errorf("backup: %w", err)
	}
	held.Bytes = info.Size()
	return held, nil
}

func schemaVersion(ctx context.Context, file string) (version int64, err error) {
	steps, err := sqlite.Migrations(ctx, file)
	if err != nil {
		return 0, err
	}
	for _, step := range steps {
		if !step.AppliedAt.IsZero() {
			version = max(version, step.Version)
		}
	}
	return version, nil
}

// errCheckpoint says that a store's tree is not the one that was signed.
var errCheckpoint = errors.New("the latest checkpoint does not agree with the tree: run agentidp audit verify")

// contents reads size and root, and holds the latest checkpoint against the
// tree by the public half of its key: the master key is not needed. Whether the
// events are those of the tree, Verify says.
func contents(ctx context.Context, db store.DB) (c Contents, err error) {
	err = db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		if c.Events, err = tx.Tree.Size(ctx); err != nil {
			return err
		}
		if c.Root, err = tlog.TreeHash(c.Events, hashes{ctx, tx.Tree}); err != nil {
			return fmt.Errorf("tree: %w", err)
		}
		latest, err := tx.Tree.LatestCheckpoint(ctx)
		if errors.Is(err, idp.ErrNotFound) && c.Events == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("latest checkpoint: %w", err)
		}
		signed, err := signedTree(ctx, tx, latest.Note)
		if err != nil {
			return err
		}
		c.Signed = signed.N
		return agrees(ctx, tx.Tree, signed, c.Events)
	})
	return c, err
}

// agrees holds a signed tree against the first of the stored hashes.
func agrees(ctx context.Context, tree store.Tree, signed tlog.Tree, size int64) error {
	if signed.N > size {
		return fmt.Errorf("%w: it covers %d events, there are %d", errCheckpoint, signed.N, size)
	}
	root, err := tlog.TreeHash(signed.N, hashes{ctx, tree})
	if err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	if signed.N > 0 && root != signed.Hash {
		return fmt.Errorf("%w: the first %d events are others", errCheckpoint, signed.N)
	}
	return nil
}

// signedTree opens a checkpoint with the verifier key that the store names.
func signedTree(ctx context.Context, tx *store.Tx, checkpoint []byte) (tlog.Tree, error) {
	keys, err := tx.Keys.List(ctx, store.UseCheckpoint)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint key: %w", err)
	}
	if len(keys) == 0 {
		return tlog.Tree{}, fmt.Errorf("checkpoint key: %w", idp.ErrNotFound)
	}
	verifier, err := note.NewVerifier(string(keys[0].Public))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint key: %w", err)
	}
	return auditlog.ParseCheckpoint(checkpoint, verifier)
}

// hashes reads a tree as tlog does.
type hashes struct {
	ctx  context.Context
	tree store.Tree
}

// ReadHashes implements tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	raw, err := h.tree.Hashes(h.ctx, indexes)
	found := make([]tlog.Hash, len(raw))
	for i := range raw {
		found[i] = raw[i]
	}
	return found, err
}
