package postgres

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

const (
	patience = time.Minute           // for a state to come about
	glance   = 10 * time.Millisecond // between looks
)

func reading(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Settings.Get(ctx, "none")
	if errors.Is(err, idp.ErrNotFound) {
		return nil
	}
	return err
}

// own is a store on a server of its own.
func own(t *testing.T) (*pgtest.Server, *Store) {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{})
	require.NoError(t, Migrate(t.Context(), server.URL("postgres"), quietly))
	return server, brisk(t, server.URL("postgres"))
}

// promptly demands ErrUnavailable from everything while the server is away.
func promptly(t *testing.T, s *Store) {
	t.Helper()
	for name, ask := range map[string]func() error{
		"update": func() error { return s.Update(t.Context(), putting("meanwhile")) },
		"view":   func() error { return s.View(t.Context(), reading) },
		"ping":   func() error { return s.Ping(t.Context()) },
	} {
		err := ask()
		require.ErrorIs(t, err, store.ErrUnavailable, name)
		require.NotErrorIs(t, err, store.ErrUnknown, name)
	}
}

func heals(t *testing.T, s *Store) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, patience, glance)
	t.Logf("healed after %v", time.Since(began).Round(time.Millisecond))
	require.NoError(t, s.Update(t.Context(), putting(time.Now().String())))
	require.NoError(t, s.View(t.Context(), reading))
}

func TestOutageIsAnsweredPromptlyAndHeals(t *testing.T) {
	t.Parallel()
	server, s := own(t)
	for _, mode := range []string{"fast", "immediate"} {
		server.Stop(t, mode)
		promptly(t, s)
		server.Start(t)
		heals(t, s)
	}
	server.Signal(t, syscall.SIGSTOP)
	promptly(t, s)
	promptly(t, s)
	server.Signal(t, syscall.SIGCONT)
	heals(t, s)
	require.Zero(t, settingsNamed(t, server.URL("postgres"), "meanwhile"))
}

// What was acknowledged is there after a crash, what was refused is not, and
// nothing is there twice.
func TestCrashUnderLoad(t *testing.T) {
	t.Parallel()
	server, s := own(t)
	var kept, refused, unknown sync.Map
	var stop atomic.Bool
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				name := strconv.Itoa(writer) + "-" + strconv.Itoa(n)
				switch err := s.Update(t.Context(), putting(name)); {
				case err == nil:
					kept.Store(name, true)
				case errors.Is(err, store.ErrUnknown):
					unknown.Store(name, true)
				case errors.Is(err, store.ErrUnavailable):
					refused.Store(name, true)
				default:
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		before := size(&kept)
		require.Eventually(t, func() bool { return size(&kept) > before+20 }, patience, glance)
		server.Restart(t, "immediate")
	}
	before := size(&kept)
	require.Eventually(t, func() bool { return size(&kept) > before+20 }, patience, glance)
	stop.Store(true)
	writers.Wait()
	t.Logf("kept %d, refused %d, unknown %d", size(&kept), size(&refused), size(&unknown))
	rows, err := connected(t, server.URL("postgres")).Query(t.Context(), "SELECT name FROM settings")
	require.NoError(t, err)
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Subset(t, there, names(&kept))
	for _, name := range there {
		require.NotContains(t, names(&refused), name)
	}
}

func names(m *sync.Map) []string {
	var all []string
	m.Range(func(name, _ any) bool { all = append(all, name.(string)); return true })
	return all
}

func size(m *sync.Map) int { return len(names(m)) }

// A server without a free connection is as good as none.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{Conf: []string{"max_connections = 8", "superuser_reserved_connections = 0", "max_wal_senders = 0"}})
	address := server.URL("postgres")
	require.NoError(t, Migrate(t.Context(), address, quietly))
	s := brisk(t, address)
	require.Eventually(t, func() bool { return s.listener.up.Load() }, patience, glance)
	s.pool.Reset()
	var hogs []*pgx.Conn
	for {
		conn, err := pgx.Connect(t.Context(), address)
		if code(err) == "53300" {
			break
		}
		require.NoError(t, err)
		hogs = append(hogs, conn)
	}
	promptly(t, s)
	for _, conn := range hogs {
		require.NoError(t, conn.Close(t.Context()))
	}
	heals(t, s)
}
