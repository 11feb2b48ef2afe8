package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// Moved says what a move has brought over.
type Moved struct {
	Source tlog.Hash       // root of the tree in the embedded store
	Target auditlog.Report // of the log in PostgreSQL; its Root is the same
	Took   time.Duration
}

// MoveProgress is told how many rows of a table are in the target; table
// "verified" counts the events read again there.
type MoveProgress func(table string, rows int64)

// ErrMove says that a move needs a server to go to.
var ErrMove = errors.New("DATABASE_URL must name the database to move to")

// MoveToPostgres copies the embedded store of the data folder, on which no IdP
// may run, into the empty database that the settings name, in one transaction.
// The log that it makes there is verified, against every checkpoint and the copy
// in the data folder, before that transaction commits. The source is not changed.
func MoveToPostgres(ctx context.Context, cfg Config, progress MoveProgress) (moved Moved, err error) {
	if cfg.DatabaseURL == "" {
		return moved, ErrMove
	}
	started := time.Now()
	source, sealer, err := openSource(ctx, cfg)
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	held, err := contents(ctx, source.db)
	if err != nil {
		return moved, fmt.Errorf("the store in %s: %w", cfg.DataDir, err)
	}
	checkpoints, err := outside(cfg)
	if err != nil {
		return moved, err
	}
	moved.Source = held.Root
	err = source.db.Dump(ctx, func(ctx context.Context, d store.Dump) error {
		return postgres.Load(ctx, d, postgres.LoadOptions{
			URL: cfg.directURL(), Progress: progress,
			Check: func(ctx context.Context, tx *store.Tx) (err error) {
				moved.Target, err = auditlog.Verify(ctx, oneView{tx: tx}, sealer, auditlog.VerifyOptions{
					Checkpoints: checkpoints, Progress: func(events int64) { progress("verified", events) },
				})
				switch {
				case err != nil:
					return err
				case moved.Target.Problem != nil:
					return fmt.Errorf("the log is not valid, nothing is moved: event %d: %s", moved.Target.Problem.Sequence, moved.Target.Problem.What)
				case moved.Target.Root != held.Root || moved.Target.Events != held.Events:
					return fmt.Errorf("the log that was made has %d events and root %s, not %d and %s; nothing is moved", moved.Target.Events, moved.Target.Root, held.Events, held.Root)
				}
				wrong, err := tx.Stats.Miscounted(ctx)
				if err == nil && wrong > 0 {
					err = fmt.Errorf("%d counts of agents and credentials are wrong; nothing is moved", wrong)
				}
				return err
			},
		})
	})
	moved.Took = time.Since(started)
	return moved, err
}

// source is an embedded store that nobody can write to.
type source struct {
	db    *sqlite.Store
	claim *sqlite.Claim
}

func (s source) close() error { return errors.Join(s.db.Close(), s.claim.Release()) }

// openSource opens the store of the data folder and shows that the master key
// that is configured for the target opens its signing keys.
func openSource(ctx context.Context, cfg Config) (_ source, _ *issuer.Sealer, err error) {
	if _, err := os.Stat(cfg.StorePath()); err != nil {
		return source{}, nil, fmt.Errorf("the store to move: %w", err)
	}
	keeper, err := openVault(ctx, cfg, slog.Default(), nil, nil)
	if err != nil {
		return source{}, nil, err
	}
	defer closeVault(keeper)
	master, err := masterKey(ctx, cfg, keeper)
	if err != nil {
		return source{}, nil, err
	}
	sealer, err := issuer.NewSealer(master)
	if err != nil {
		return source{}, nil, err
	}
	claim, err := sqlite.Take(cfg.StorePath())
	if err != nil {
		return source{}, nil, err
	}
	db, err := claim.OpenReadOnly(ctx)
	if err != nil {
		return source{}, nil, errors.Join(err, claim.Release())
	}
	s := source{db, claim}
	if _, err := issuer.Open(ctx, db, sealer, cfg.Signer, time.Now); err != nil {
		err = fmt.Errorf("the signing keys do not open under the master key that is set: it must be that of the data folder (AGENTIDP_MASTER_KEY_FILE=%s): %w", cfg.MasterKeyPath(), err)
		return source{}, nil, errors.Join(err, s.close())
	}
	return s, sealer, nil
}

// outside reads the copy of the latest checkpoint in the data folder, if there is one.
func outside(cfg Config) ([][]byte, error) {
	content, err := os.ReadFile(cfg.CheckpointPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return [][]byte{content}, nil
}

// oneView lets what reads a store read the transaction that fills it.
type oneView struct {
	store.DB
	tx *store.Tx
}

// View implements store.DB.
func (v oneView) View(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return fn(ctx, v.tx)
}
