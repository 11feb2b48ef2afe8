package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/sentryagent/agentidp/idp/internal/store"
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

// Migrations lists every known step for the file at path, which may be in use
// or not exist yet, without changing it.
func Migrations(ctx context.Context, path string) (steps []store.Migration, err error) {
	applied := map[int64]time.Time{}
	if _, err := os.Stat(path); err == nil {
		if applied, err = appliedTo(ctx, path); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("database: %w", err)
	}
	names, err := fs.Glob(schema(), "*.sql")
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		steps = append(steps, store.Migration{Version: version, Name: name, AppliedAt: applied[version]})
	}
	return steps, nil
}

const appliedMigrations = `SELECT version_id, unixepoch(tstamp) FROM goose_db_version WHERE is_applied = 1`

func appliedTo(ctx context.Context, path string) (applied map[int64]time.Time, err error) {
	if path, err = canonical(path); err != nil {
		return nil, err
	}
	db := openDB(path, readerPragmas, 1)
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, appliedMigrations)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	defer rows.Close() //nolint:errcheck // Err below reports what ended the rows
	applied = map[int64]time.Time{}
	for rows.Next() {
		var version, at int64
		if err := rows.Scan(&version, &at); err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		applied[version] = time.Unix(at, 0).UTC()
	}
	return applied, rows.Err()
}
