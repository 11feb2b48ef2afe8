package app

import (
	"context"
	"errors"
	"slices"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// Migrate brings the schema of the store that the settings name up to date. On
// PostgreSQL any number of processes may do so at once, and replicas may run;
// an embedded store must not be in use.
func Migrate(ctx context.Context, cfg Config, report func(step string)) error {
	if cfg.DatabaseURL != "" {
		return postgres.Migrate(ctx, cfg.directURL(), report)
	}
	before, err := sqlite.Migrations(ctx, cfg.StorePath())
	if err != nil {
		return err
	}
	if err := makeFolder(cfg); err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, cfg.StorePath())
	if err != nil {
		return err
	}
	for _, step := range before {
		if step.AppliedAt.IsZero() {
			report(step.Name)
		}
	}
	return db.Close()
}

// Migrations lists the steps of the schema, applied and pending.
func Migrations(ctx context.Context, cfg Config) ([]store.Migration, error) {
	if cfg.DatabaseURL != "" {
		return postgres.Status(ctx, cfg.directURL())
	}
	return sqlite.Migrations(ctx, cfg.StorePath())
}

// ErrPending says that the schema is not up to date.
var ErrPending = errors.New("the schema is not up to date: run agentidp migrate up")

// Pending is ErrPending when a step is not applied.
func Pending(steps []store.Migration) error {
	if slices.ContainsFunc(steps, func(s store.Migration) bool { return s.AppliedAt.IsZero() }) {
		return ErrPending
	}
	return nil
}

// directURL is what DDL uses: past a pooler where there is one.
func (c *Config) directURL() string {
	if c.DatabaseDirectURL != "" {
		return c.DatabaseDirectURL
	}
	return c.DatabaseURL
}
