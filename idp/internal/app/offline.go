package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/vault"
)

// Offline is the store opened without a server, by a command. While a data
// folder is open no IdP can run on it; beside PostgreSQL replicas may.
type Offline struct {
	cfg    Config
	sealer *issuer.Sealer
	db     *database
	vault  *vault.Client // nil without Vault
}

// OpenOffline opens the data folder, and makes it when it is new: a key can be
// imported before the first start.
func OpenOffline(ctx context.Context, cfg Config) (*Offline, error) {
	cfg.Migrate = false // a command must not change the schema under running replicas
	keeper, err := openVault(ctx, cfg, slog.Default(), nil, nil)
	if err != nil {
		return nil, err
	}
	sealer, db, err := openData(ctx, cfg, keeper, slog.Default(), 0)
	if err != nil {
		closeVault(keeper)
		return nil, err
	}
	return &Offline{cfg: cfg, sealer: sealer, db: db, vault: keeper}, nil
}

// Close lets go of the store.
func (o *Offline) Close() error {
	closeVault(o.vault)
	return o.db.Close()
}

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
		keys, err := issuer.Open(ctx, o.db, o.sealer, o.cfg.Signer, time.Now)
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
		hasher, _, err := o.cfg.hashers(ctx, o.vault, func(error) {}) // one that cannot hash says so itself
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

// offlinePatience is longer than a commit may take: nobody else is kept waiting.
const offlinePatience = 35 * time.Second

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
	log := auditlog.New(o.db, key, auditlog.Options{Logger: slog.Default(), CheckpointFile: o.cfg.CheckpointPath(), Patience: offlinePatience})
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

// ImportCredentials opens the store and brings in credentials that another
// system made; see registry.Service.ImportCredentials.
func ImportCredentials(ctx context.Context, cfg Config, lines []registry.ImportLine, onlyCheck bool) (report registry.ImportReport, err error) {
	o, err := OpenOffline(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	err = o.logged(ctx, func(log *auditlog.Log) error {
		report, err = registry.New(registry.Options{DB: o.db, Log: log, Limits: cfg.limits()}).ImportCredentials(ctx, lines, onlyCheck)
		return err
	})
	return report, err
}
