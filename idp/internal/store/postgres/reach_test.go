package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

func TestOnlyWhatGoesAwayByItselfIsUnreachable(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	migrated := server.URL("postgres")
	require.NoError(t, Migrate(t.Context(), migrated, quietly))
	server.Exec(t, "postgres", "CREATE DATABASE bare")
	server.Exec(t, "postgres", "CREATE ROLE nologin NOLOGIN")
	server.Exec(t, "postgres", "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")

	demand := func(address string, unreachable bool) {
		t.Helper()
		for _, migrate := range []bool{false, true} {
			s, err := Open(t.Context(), Options{URL: address, Migrate: migrate})
			if err == nil {
				require.NoError(t, s.Close())
			}
			require.Error(t, err)
			if unreachable {
				require.ErrorIs(t, err, ErrUnreachable)
			} else {
				require.NotErrorIs(t, err, ErrUnreachable)
			}
		}
	}
	demand(server.URL("none"), false)
	demand(as(t, migrated, "nobody"), false)
	demand(as(t, migrated, "nologin"), false)
	demand(strings.Replace(migrated, "sslmode=disable", "sslmode=require", 1), false)
	demand(strings.Replace(migrated, "?", "?sslrootcert=/nowhere&", 1)+"&sslmode=verify-full", false)
	_, err := Open(t.Context(), Options{URL: server.URL("bare")})
	require.ErrorIs(t, err, ErrSchema)
	require.NotErrorIs(t, err, ErrUnreachable)

	demand(as(t, migrated, "crowded"), true)
	demand("postgres://postgres@nobody.invalid/postgres", true)
	demand("postgres://postgres@"+strings.Repeat("a", 64)+"/postgres", true) // no name of DNS
	server.Signal(t, syscall.SIGSTOP)
	demand(migrated, true) // it accepts, and says nothing
	server.Signal(t, syscall.SIGCONT)
	shutDown(t, server, func() { demand(migrated, true) })
	server.Stop(t, "fast")
	demand(migrated, true)
}

// shutDown has a server that waits for its last client to go, and takes no other.
func shutDown(t *testing.T, server *pgtest.Server, meanwhile func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var folder string
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder))
	file, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(file), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
	require.Eventually(t, func() bool {
		other, err := pgx.Connect(t.Context(), server.URL("postgres"))
		return err != nil || other.Close(t.Context()) != nil
	}, patience, glance)
	meanwhile()
}

// A pooler takes connections for a server that is away.
func TestAServerBehindAPoolerIsUnreachable(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	direct := server.URL("postgres")
	require.NoError(t, Migrate(t.Context(), direct, quietly))
	pooled := bouncer(t, direct)(direct)
	s, err := Open(t.Context(), Options{URL: pooled, DirectURL: direct})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	server.Stop(t, "fast")
	_, err = Open(t.Context(), Options{URL: pooled, DirectURL: direct})
	require.ErrorIs(t, err, ErrUnreachable)
}
