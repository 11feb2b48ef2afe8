package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// ErrOtherSchema says that a store is of another release.
var ErrOtherSchema = errors.New("the schema is of another release")

// Condition is a store opened to see how it is, also beside the IdP that serves
// from it. It changes nothing, the schema included.
type Condition struct {
	cfg Config
	db  store.DB
}

// OpenCondition opens a store that is there. ErrOtherSchema, where every step
// that this release knows is applied, means a newer release.
func OpenCondition(ctx context.Context, cfg Config) (*Condition, error) {
	cfg.Migrate = false
	var db store.DB
	var err error
	if cfg.DatabaseURL == "" {
		db, err = sqlite.OpenReadOnly(ctx, cfg.StorePath())
	} else {
		db, err = openStore(ctx, cfg, slog.Default())
	}
	if errors.Is(err, sqlite.ErrSchema) || errors.Is(err, postgres.ErrSchema) {
		err = fmt.Errorf("%w: %w", ErrOtherSchema, err)
	}
	if err != nil {
		return nil, err
	}
	return &Condition{cfg: cfg, db: db}, nil
}

// Close lets go of the store.
func (c *Condition) Close() error { return c.db.Close() }

// Keys opens every key with the master key.
func (c *Condition) Keys(ctx context.Context) (err error) {
	keeper, err := openVault(ctx, c.cfg, slog.Default(), nil, nil)
	if err != nil {
		return err
	}
	defer closeVault(keeper)
	master, err := keptMasterKey(ctx, c.cfg, keeper)
	if err != nil {
		return err
	}
	sealer, err := issuer.NewSealer(master)
	if err != nil {
		return err
	}
	_, err = issuer.Open(ctx, c.db, sealer, c.cfg.Signer, time.Now)
	return err
}

// Log says how long the audit log is, and holds its tree against the latest
// checkpoint and the copy in the data folder. Every event is Verify's business.
func (c *Condition) Log(ctx context.Context) (Contents, error) {
	held, err := contents(ctx, c.db)
	if err != nil {
		return held, err
	}
	beside, err := os.ReadFile(c.cfg.CheckpointPath())
	if errors.Is(err, fs.ErrNotExist) {
		return held, nil
	}
	if err != nil {
		return held, fmt.Errorf("checkpoint: %w", err)
	}
	return held, c.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		signed, err := signedTree(ctx, tx, beside)
		if err != nil {
			return err
		}
		size, err := tx.Tree.Size(ctx) // it has grown since
		if err != nil {
			return err
		}
		return agrees(ctx, tx.Tree, signed, size)
	})
}

// Miscounted is how many of the counts behind lists and overviews are wrong.
func (c *Condition) Miscounted(ctx context.Context) (wrong int64, err error) {
	err = c.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		wrong, err = tx.Stats.Miscounted(ctx)
		return err
	})
	return wrong, err
}
