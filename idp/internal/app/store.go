package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// database is the store that the settings name, with what only an operator
// sees of it.
type database struct {
	store.DB
	backend  string
	settings []slog.Attr     // as the server confirmed them
	failed   <-chan struct{} // closed when only a restart can mend it; nil: never
	// maintain prepares what time will ask for; nil: nothing.
	maintain func(ctx context.Context, now time.Time) error
}

// theDatabase is what a start waits for while its server cannot be reached.
var theDatabase = dependency{
	name: "the database", reason: "store_unreachable",
	heals: func(err error) bool { return errors.Is(err, postgres.ErrUnreachable) },
}

// openStore opens PostgreSQL where a URL is set, else the file in the data folder.
func openStore(ctx context.Context, cfg Config, logger *slog.Logger) (*database, error) {
	if cfg.DatabaseURL == "" {
		db, err := sqlite.Open(ctx, cfg.StorePath())
		if err != nil {
			return nil, err
		}
		return &database{DB: db, backend: "sqlite", settings: db.Settings(), failed: db.Failed()}, nil
	}
	db, err := postgres.Open(ctx, postgres.Options{
		URL: cfg.DatabaseURL, DirectURL: cfg.DatabaseDirectURL, Migrate: cfg.Migrate, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	return &database{DB: db, backend: "postgres", settings: db.Settings(), maintain: db.Maintain}, nil
}
