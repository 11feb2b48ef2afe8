// Package pgtest gives tests real PostgreSQL databases: on the server that
// TEST_DATABASE_URL names, or on a throw-away cluster of the test process, or
// else in a container.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Variable names an existing server: a URL whose role may create databases.
const Variable = "TEST_DATABASE_URL"

// patience bounds every step that makes a server or a database.
const patience = 5 * time.Minute

// shared is the server of this process. It lives until the process ends.
var shared struct {
	once    sync.Once
	address string   // of a database from which others are made
	alive   *os.File // it lives until this is closed, be it by the garbage collector
	err     error
}

// template is a migrated database that others are copied from.
var template struct {
	once sync.Once
	name string
	err  error
}

// URL makes an empty database and returns its address; the database goes with the test.
func URL(t testing.TB) string {
	t.Helper()
	return fresh(t, administration(t), "template0")
}

// Migrated makes a database that migrate has migrated and returns its address.
// All calls in a process must pass the same function: it runs once where the
// server is this process's own, and the result is copied.
func Migrated(t testing.TB, migrate func(ctx context.Context, url string) error) string {
	t.Helper()
	admin := administration(t)
	if os.Getenv(Variable) != "" { // leave no template behind there
		address := fresh(t, admin, "template0")
		require.NoError(t, migrate(t.Context(), address))
		return address
	}
	template.once.Do(func() {
		template.name = name()
		if template.err = create(t.Context(), admin, template.name, "template0"); template.err == nil {
			template.err = migrate(t.Context(), database(admin, template.name))
		}
	})
	require.NoError(t, template.err)
	return fresh(t, admin, template.name)
}

// create makes a database. Before PostgreSQL 15 everybody could make objects in
// its public schema, which the migrations do not put up with.
func create(ctx context.Context, admin, made, source string) error {
	if err := run(ctx, admin, "CREATE DATABASE "+made+" TEMPLATE "+source); err != nil {
		return err
	}
	return run(ctx, database(admin, made), "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
}

func fresh(t testing.TB, admin, source string) string {
	t.Helper()
	made := name()
	require.NoError(t, create(t.Context(), admin, made, source))
	t.Cleanup(func() {
		require.NoError(t, run(context.Background(), admin, "DROP DATABASE "+made+" WITH (FORCE)"))
	})
	return database(admin, made)
}

// administration is the address of a database on the server from which others are made.
func administration(t testing.TB) string {
	t.Helper()
	if address := os.Getenv(Variable); address != "" {
		return address
	}
	shared.once.Do(func() { shared.address, shared.alive, shared.err = share() })
	require.NoError(t, shared.err)
	runtime.KeepAlive(shared.alive)
	return shared.address
}

// share starts the process's server from installed programs, else in Docker.
func share() (address string, alive *os.File, err error) {
	server, err := launch(Options{})
	if err == nil {
		return server.URL("postgres"), server.watchman, nil
	}
	if errors.Is(err, errMissing) && exec.Command("docker", "info").Run() == nil {
		return container()
	}
	return "", nil, err
}

func name() string { return "t" + fmt.Sprintf("%x", []byte(rand.Text()))[:24] }

// database is the address with another database name.
func database(address, name string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		panic(fmt.Sprintf("pgtest: %s is not a URL", Variable))
	}
	parsed.Path = "/" + name
	return parsed.String()
}

func run(ctx context.Context, address, statement string) error {
	ctx, done := context.WithTimeout(ctx, patience)
	defer done()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
