package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/sentryagent/agentidp/migrations"
)

// ErrSchema says that the file's schema is not one that this program can use.
var ErrSchema = errors.New("database schema does not fit this release")

func schema() fs.FS {
	folder, err := fs.Sub(migrations.SQLite, "sqlite")
	if err != nil {
		panic(fmt.Sprintf("sqlite: embedded migrations: %v", err))
	}
	return folder
}

func provider(db *sql.DB, source fs.FS) (*goose.Provider, error) {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, source,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}

// migrate applies what is missing, each migration in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB, source fs.FS) error {
	p, err := provider(db, source)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w: it is at version %d, this release knows %d", ErrSchema, current, target)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

const schemaVersion = `SELECT max(version_id) FROM goose_db_version WHERE is_applied = 1`

// checkSchema demands exactly this release's version, without writing.
func checkSchema(ctx context.Context, s *session) error {
	names, err := fs.Glob(schema(), "*.sql")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	want, err := goose.NumericComponent(names[len(names)-1])
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	var current int64
	if err := s.conn.QueryRowContext(ctx, schemaVersion).Scan(&current); err != nil {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	if current != want {
		return fmt.Errorf("%w: it is at version %d, this release needs %d", ErrSchema, current, want)
	}
	return nil
}
