package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// Offline is the data folder opened without a server, by a command. While it
// is open no IdP can run on the folder.
type Offline struct {
	cfg    Config
	sealer *issuer.Sealer
	db     *sqlite.Store
}

// OpenOffline opens the data folder, and makes it when it is new: a key can be
// imported before the first start.
func OpenOffline(ctx context.Context, cfg Config) (*Offline, error) {
	sealer, db, err := openData(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Offline{cfg: cfg, sealer: sealer, db: db}, nil
}

// Close lets go of the folder.
func (o *Offline) Close() error { return o.db.Close() }

// Keys lists the signing keys, oldest first.
func (o *Offline) Keys(ctx context.Context) (keys []store.Key, err error) {
	err = o.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		keys, err = tx.Keys.List(ctx, store.UseToken)
		return err
	})
	return keys, err
}

// ImportKey makes an RSA private key in PEM the signing key and returns its id.
func (o *Offline) ImportKey(ctx context.Context, pem []byte) (kid string, err error) {
	err = o.logged(ctx, func(log *auditlog.Log) error {
		keys, err := issuer.Open(ctx, o.db, o.sealer, time.Now)
		if err != nil {
			return err
		}
		kid, err = keys.Import(ctx, commitOf(log), pem)
		return err
	})
	return kid, err
}

// ResetAdministrator gives the operator a new way in and writes admin.json.
func (o *Offline) ResetAdministrator(ctx context.Context) (result *registry.BootstrapResult, err error) {
	err = o.logged(ctx, func(log *auditlog.Log) error {
		hasher, err := clientauth.NewBcrypt(o.cfg.BcryptCost)
		if err != nil {
			return err
		}
		result, err = registry.New(registry.Options{DB: o.db, Log: log, Hasher: hasher, Limits: o.cfg.limits()}).ResetAdministrator(ctx)
		if err != nil {
			return err
		}
		return writeAdmin(o.cfg.AdminPath(), result)
	})
	return result, err
}

// Verify holds the audit log against what was signed.
func (o *Offline) Verify(ctx context.Context, opts auditlog.VerifyOptions) (auditlog.Report, error) {
	return auditlog.Verify(ctx, o.db, o.sealer, opts)
}

// logged runs what changes state with the audit log at work, until its last checkpoint.
func (o *Offline) logged(ctx context.Context, fn func(log *auditlog.Log) error) error {
	origin, err := logOrigin(o.cfg.IssuerURL())
	if err != nil {
		return err
	}
	key, err := auditlog.OpenCheckpointKey(ctx, o.db, o.sealer, origin, time.Now)
	if err != nil {
		return err
	}
	log := auditlog.New(o.db, key, auditlog.Options{Logger: slog.Default(), CheckpointFile: o.cfg.CheckpointPath()})
	running, stop := context.WithCancel(ctx)
	var tasks background
	tasks.run(func() error { return log.Run(running) })
	err = fn(log)
	stop()
	return errors.Join(err, tasks.wait())
}

// commitOf makes the log's Commit what the issuer takes.
func commitOf(log *auditlog.Log) issuer.Commit {
	return func(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
		return log.Commit(ctx, change)
	}
}
