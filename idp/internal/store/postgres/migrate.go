package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/migrations"
)

var (
	// ErrSchema says that the database's schema is not one that this program can use.
	ErrSchema = errors.New("database schema does not fit this release")
	// ErrPooled says that migrations were asked for through a connection pooler.
	ErrPooled = errors.New("migrations need a connection to the server itself, not to a pooler: set DATABASE_DIRECT_URL")
)

// migrateDial bounds the making of a connection where no request waits for it.
const migrateDial = 30 * time.Second

func schema() fs.FS {
	folder, err := fs.Sub(migrations.Postgres, "postgres")
	if err != nil {
		panic(fmt.Sprintf("postgres: embedded migrations: %v", err))
	}
	return folder
}

// Migrate applies what is missing, each migration in a transaction of its own,
// and reports each by its file name. Callers anywhere may do so at once: they
// wait for each other. Through a pooler it answers ErrPooled.
func Migrate(ctx context.Context, url string, report func(name string)) error {
	return migrate(ctx, url, schema(), report)
}

func migrate(ctx context.Context, url string, source fs.FS, report func(name string)) error {
	config, err := poolConfig(url, minimalConns, true) // a pooler is still to be ruled out
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	config.ConnConfig.ConnectTimeout = migrateDial
	if err := mayMigrate(ctx, config.ConnConfig, source); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	db := stdlib.OpenDB(*config.ConnConfig)
	defer db.Close() //nolint:errcheck // nothing is pending
	p, err := goose.NewProvider(goose.DialectPostgres, db, source, goose.WithSessionLocker(migrationLock{}),
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	applied, err := p.Up(ctx)
	for _, result := range applied {
		report(result.Source.Path)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// mayMigrate demands the server itself, at a version that this program knows.
func mayMigrate(ctx context.Context, config *pgx.ConnConfig, source fs.FS) error {
	target, err := newest(source)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	seen, err := probe(ctx, conn)
	if err != nil {
		return err
	}
	if seen.pooled {
		return ErrPooled
	}
	if err := seen.check(); err != nil {
		return err
	}
	current, err := version(ctx, conn)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: it is at version %d, this release knows %d", ErrSchema, current, target)
	}
	return nil
}

// migrationLock makes one migrator at a time work, on the very connection that
// migrates. A lock of the session, hence no pooler.
type migrationLock struct{}

const migrationWaitForever = `SET lock_timeout = 0`

const migrationTakeLock = `SELECT pg_advisory_lock(4703115946216386883)`

// Replicas that serve must not queue up behind a migration that waits for one of them.
const migrationWaitBriefly = `SET lock_timeout = '10s'`

func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for _, statement := range []string{migrationWaitForever, migrationTakeLock, migrationWaitBriefly} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

const migrationFreeLock = `SELECT pg_advisory_unlock(4703115946216386883)`

func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, migrationFreeLock)
	return err
}

const migrationsApplied = `SELECT version_id, tstamp AT TIME ZONE 'UTC' FROM goose_db_version WHERE is_applied ORDER BY id`

// Status lists this release's migrations in order. It reads only, also through a pooler.
func Status(ctx context.Context, url string) ([]store.Migration, error) {
	config, err := poolConfig(url, minimalConns, true)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	applied := make(map[int64]time.Time)
	if current, err := version(ctx, conn); err != nil || current == 0 {
		return known(applied), err
	}
	rows, err := conn.Query(ctx, migrationsApplied)
	if err != nil {
		return nil, fmt.Errorf("schema version: %w", err)
	}
	var number int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&number, &at}, func() error {
		applied[number] = at.UTC()
		return nil
	})
	return known(applied), err
}

// known lists the migrations of this release.
func known(applied map[int64]time.Time) []store.Migration {
	names, err := fs.Glob(schema(), "*.sql")
	if err != nil {
		panic(fmt.Sprintf("postgres: embedded migrations: %v", err))
	}
	all := make([]store.Migration, len(names))
	for i, name := range names {
		number, err := goose.NumericComponent(name)
		if err != nil {
			panic(fmt.Sprintf("postgres: embedded migration %s: %v", name, err))
		}
		all[i] = store.Migration{Version: number, Name: name, AppliedAt: applied[number]}
	}
	return all
}

func newest(source fs.FS) (int64, error) {
	names, err := fs.Glob(source, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("migrations: none: %w", err)
	}
	return goose.NumericComponent(names[len(names)-1])
}

const schemaExists = `SELECT to_regclass('goose_db_version') IS NOT NULL`

const schemaVersion = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`

// version is the highest migration applied; 0 before the first.
func version(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var exists bool
	if err := conn.QueryRow(ctx, schemaExists).Scan(&exists); err != nil {
		return 0, fmt.Errorf("schema version: %w", err)
	}
	if !exists {
		return 0, nil
	}
	var current int64
	if err := conn.QueryRow(ctx, schemaVersion).Scan(&current); err != nil {
		return 0, fmt.Errorf("schema version: %w", err)
	}
	return current, nil
}

// checkSchema demands exactly this release's version, without writing.
func checkSchema(ctx context.Context, conn *pgx.Conn) error {
	want, err := newest(schema())
	if err != nil {
		return err
	}
	current, err := version(ctx, conn)
	switch {
	case err != nil:
		return err
	case current < want:
		return fmt.Errorf("%w: it is at version %d, this release needs %d: run agentidp migrate up", ErrSchema, current, want)
	case current > want:
		return fmt.Errorf("%w: it is at version %d, this release knows %d", ErrSchema, current, want)
	default:
		return nil
	}
}
