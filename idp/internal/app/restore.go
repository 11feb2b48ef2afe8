package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/durable"
)

// Restored says what a restore has done.
type Restored struct {
	Events        int64     // that the backup held
	Root          tlog.Hash // of them
	Known         int64     // events under audit.checkpoint, the copy beside the store; 0: there was none
	Organizations int       // whose tokens are dead
	Aside         string    // folder with what lay there before; "": nothing did
}

// Lost is how many events are known to be lost. More may be.
func (r Restored) Lost() int64 { return max(r.Known-r.Events, 0) }

var (
	// ErrServerRestore says that PostgreSQL is restored with its own tools.
	ErrServerRestore = errors.New("the store is in PostgreSQL: put it back with its own tools, then run agentidp restore --declare, see docs/deployment.md, Restore")
	// ErrNoMasterKey says that nothing could open what a backup holds.
	ErrNoMasterKey = errors.New("the master key is missing: a backup is of no use without the master.key it was made beside, or AGENTIDP_MASTER_KEY")
	// ErrOtherHistory says that two logs went on from one.
	ErrOtherHistory = errors.New("the checkpoint beside the store is of another history than what is restored: move audit.checkpoint out of the data folder yourself if that is meant")
)

// Restore puts a file that Backup made in the place of the embedded store, on
// which no IdP may run. The file is copied, brought to this release's schema,
// verified and declared restored before anything is touched; then the store that
// was there moves aside with its checkpoint.
func Restore(ctx context.Context, cfg Config, file string) (done Restored, err error) {
	if cfg.DatabaseURL != "" {
		return done, ErrServerRestore
	}
	if err := haveMasterKey(ctx, cfg); err != nil {
		return done, err
	}
	claim, err := sqlite.Take(cfg.StorePath())
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, claim.Release()) }()
	staging, err := makeStaging(cfg)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging.DataDir)) }()
	if err := copyBackup(ctx, file, staging.StorePath()); err != nil {
		return done, err
	}
	if done, err = declareStaged(ctx, cfg, staging); err != nil {
		return done, err
	}
	aside, err := asideFolder(cfg)
	if err != nil {
		return done, err
	}
	if done.Aside, err = claim.Replace(staging.StorePath(), aside, cfg.CheckpointPath()); err != nil {
		return done, err
	}
	return done, takeCheckpoint(cfg, staging)
}

// declareStaged declares the copy in the staging folder, which is nobody's yet.
func declareStaged(ctx context.Context, cfg, staging Config) (done Restored, err error) {
	keeper, err := openVault(ctx, cfg, slog.Default(), nil, nil)
	if err != nil {
		return done, err
	}
	defer closeVault(keeper)
	master, err := masterKey(ctx, cfg, keeper)
	if err != nil {
		return done, err
	}
	sealer, err := issuer.NewSealer(master)
	if err != nil {
		return done, err
	}
	db, err := openStore(ctx, staging, slog.Default())
	if err != nil {
		return done, err
	}
	o := &Offline{cfg: staging, sealer: sealer, db: db}
	defer func() { err = errors.Join(err, o.Close()) }()
	return o.declare(ctx, cfg.CheckpointPath())
}

// DeclareRestored tells a store that was put back to an earlier state by other
// means, such as a point-in-time recovery, that it was. No replica may run.
func DeclareRestored(ctx context.Context, cfg Config) (done Restored, err error) {
	if err := haveMasterKey(ctx, cfg); err != nil {
		return done, err
	}
	o, err := OpenOffline(ctx, cfg)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	// The log does not start beside a checkpoint that is ahead of it. That one
	// goes last: until all is done no IdP starts either.
	staging, err := makeStaging(cfg)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging.DataDir)) }()
	o.cfg = staging
	if done, err = o.declare(ctx, cfg.CheckpointPath()); err != nil {
		return done, err
	}
	if done.Lost() > 0 {
		if done.Aside, err = asideFolder(cfg); err == nil {
			err = os.Mkdir(done.Aside, 0o700)
		}
		if err == nil {
			err = os.Rename(cfg.CheckpointPath(), filepath.Join(done.Aside, filepath.Base(cfg.CheckpointPath())))
		}
		if err = errors.Join(err, durable.SyncDir(done.Aside)); err != nil {
			return done, fmt.Errorf("restore: %w", err)
		}
	}
	return done, takeCheckpoint(cfg, staging)
}

// makeStaging is the configuration with an empty folder of its own inside the data folder.
func makeStaging(cfg Config) (Config, error) {
	staging := cfg
	staging.DataDir = cfg.path("restore.tmp")
	if err := errors.Join(os.RemoveAll(staging.DataDir), os.Mkdir(staging.DataDir, 0o700)); err != nil {
		return staging, fmt.Errorf("restore: %w", err)
	}
	return staging, nil
}

// takeCheckpoint puts the checkpoint of the declared log beside its store.
func takeCheckpoint(cfg, staging Config) error {
	if err := os.Rename(staging.CheckpointPath(), cfg.CheckpointPath()); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return durable.SyncDir(cfg.DataDir)
}

func (o *Offline) declare(ctx context.Context, checkpoint string) (done Restored, err error) {
	if done, err = o.examine(ctx, checkpoint); err != nil {
		return done, err
	}
	err = o.cut(ctx, &done)
	return done, err
}

// examine verifies the log, and holds it against the checkpoint in a file, if there is one.
func (o *Offline) examine(ctx context.Context, checkpoint string) (done Restored, err error) {
	report, err := o.Verify(ctx, auditlog.VerifyOptions{})
	if err != nil {
		return done, err
	}
	if report.Problem != nil {
		return done, fmt.Errorf("the audit log of what is restored is not valid: event %d: %s", report.Problem.Sequence, report.Problem.What)
	}
	done.Events, done.Root = report.Events, report.Root
	beside, err := os.ReadFile(checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return done, fmt.Errorf("checkpoint: %w", err)
	}
	err = o.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		signed, err := signedTree(ctx, tx, beside)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOtherHistory, err)
		}
		done.Known = signed.N
		if signed.N > done.Events {
			return nil
		}
		if err := agrees(ctx, tx.Tree, signed, done.Events); err != nil {
			return fmt.Errorf("%w: %w", ErrOtherHistory, err)
		}
		return nil
	})
	return done, err
}

// cut makes everything that is out invalid, and the event that says why.
func (o *Offline) cut(ctx context.Context, done *Restored) error {
	return o.logged(ctx, func(log *auditlog.Log) error {
		keys, err := issuer.Open(ctx, o.db, o.sealer, o.cfg.Signer, time.Now)
		if err != nil {
			return fmt.Errorf("the keys of what is restored do not open: %w", err)
		}
		spare, err := keys.Spare()
		if err != nil {
			return err
		}
		return log.Commit(ctx, func(ctx context.Context, tx *store.Tx) (events []idp.Event, err error) {
			now := idp.Time(time.Now())
			done.Organizations, events, err = revocation.Restored(ctx, tx, keys, spare, now)
			if err != nil {
				return nil, err
			}
			if err := clientauth.Restored(ctx, tx, now); err != nil {
				return nil, err
			}
			// Whole lists are passed over: no index that was given out since is given out again.
			for range 2 + done.Lost()/store.StatusListSize {
				if _, err := tx.StatusLists.Take(ctx, store.StatusListSize, now); err != nil {
					return nil, err
				}
			}
			metadata := map[string]any{"events": done.Events, "root": done.Root.String(), "organizations": int64(done.Organizations)}
			if done.Known > 0 {
				metadata["knownEvents"] = done.Known
			}
			return append(events, idp.Event{
				OrganizationID: idp.OperatorOrganization, Action: idp.ActionStoreRestored, Outcome: idp.Success, Metadata: metadata,
			}), nil
		})
	})
}

// asideFolder names a folder that is not there, in the data folder.
func asideFolder(cfg Config) (string, error) {
	stamp := cfg.path("before-restore-" + time.Now().UTC().Format("20060102T150405Z"))
	for n := 1; ; n++ {
		name := stamp
		if n > 1 {
			name = fmt.Sprintf("%s-%d", stamp, n)
		}
		_, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", fmt.Errorf("restore: %w", err)
		}
	}
}

// copyBackup copies the file, which must be a backup, whole, and not a store at work.
func copyBackup(ctx context.Context, from, to string) error {
	if info, err := os.Stat(from + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("restore: %s has a write-ahead log beside it, so it is a store and no backup of one: make one with agentidp backup", from)
	}
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	err = durable.Replace(to, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
	if err = errors.Join(err, source.Close()); err == nil {
		err = sqlite.CheckIntegrity(ctx, to)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}
