package postgres

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/storetest"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// bouncer starts a PgBouncer in transaction mode in front of the server at the
// address, and returns what turns an address there into one through it.
func bouncer(t *testing.T, address string) (through func(address string) string) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	_, err = os.Stat(program)
	require.NoError(t, err, "install it: apt-get install pgbouncer")
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	server := "host=" + parsed.Hostname() + " port=" + parsed.Port() + " user=" + parsed.User.Username()
	if password, has := parsed.User.Password(); has {
		server += " password='" + password + "'"
	}
	port := strconv.Itoa(commandtest.FreePort(t, 10_000))
	own := net.JoinHostPort("127.0.0.1", port)
	config := filepath.Join(t.TempDir(), "pgbouncer.ini")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
`, server, port), 0o644))
	reader, leash, err := os.Pipe() // it ends with this process at the latest
	require.NoError(t, err)
	defer reader.Close()
	// The configuration comes open: a folder of root's is not for the user it runs as.
	command := exec.Command("sh", "-c", `"$0" -q /dev/fd/3 & cat >/dev/null; kill -KILL $!; wait`, program)
	command.Stdin = reader
	file, err := os.Open(config)
	require.NoError(t, err)
	defer file.Close()
	command.ExtraFiles = []*os.File{file}
	command.SysProcAttr = pgtest.Unprivileged()
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, leash.Close())
		_, err := command.Process.Wait()
		require.NoError(t, err)
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", own)
		return err == nil && conn.Close() == nil
	}, patience, glance)
	return func(address string) string {
		parsed, err := url.Parse(address)
		require.NoError(t, err)
		parsed.Host = own
		return parsed.String()
	}
}

func TestConformanceThroughAPooler(t *testing.T) {
	t.Parallel()
	through := bouncer(t, fresh(t))
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		direct := fresh(t)
		return backend(t, direct, Options{URL: through(direct), DirectURL: direct})
	})
}

func TestPoolerAlone(t *testing.T) {
	direct := fresh(t)
	pooled := bouncer(t, direct)(direct)
	one, two := openWith(t, Options{URL: pooled}), openWith(t, Options{URL: pooled})
	require.True(t, one.server.pooled)
	require.False(t, openURL(t, direct).server.pooled)
	hears(t, two, one, revoking)
	hears(t, one, two, revoking)
	require.False(t, one.listener.up.Load())

	_, err := Open(t.Context(), Options{URL: pooled, Migrate: true})
	require.ErrorIs(t, err, ErrPooled)
	require.ErrorContains(t, err, "DATABASE_DIRECT_URL")
	openWith(t, Options{URL: pooled, DirectURL: direct, Migrate: true})
	steps, err := Status(t.Context(), pooled)
	require.NoError(t, err)
	require.False(t, steps[len(steps)-1].AppliedAt.IsZero())
}

// Server connections change under a client with every transaction: nothing
// that one transaction leaves behind may matter to the next.
func TestPooledTransactionsShareNothing(t *testing.T) {
	direct := fresh(t)
	pooled := bouncer(t, direct)(direct)
	replicas := []*Store{openWith(t, Options{URL: pooled}), openWith(t, Options{URL: pooled})}
	require.NoError(t, replicas[0].Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Organizations.Insert(ctx, idp.Organization{ID: "acme"})
	}))
	var callers sync.WaitGroup
	for n := range 8 {
		callers.Go(func() {
			for range 25 {
				err := replicas[n%2].Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					return tx.Savepoint(ctx, func(ctx context.Context) error {
						_, err := tx.Organizations.RaiseEpoch(ctx, "acme")
						return err
					})
				})
				if err != nil {
					t.Error(err)
				}
				if err := replicas[n%2].View(t.Context(), reading); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	require.NoError(t, replicas[0].View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		o, err := tx.Organizations.Get(ctx, "acme")
		require.Equal(t, int64(200), o.Epoch)
		return err
	}))
}

func TestCutCommitThroughAPoolerIsResolved(t *testing.T) {
	direct := fresh(t)
	pooled := bouncer(t, direct)(direct)
	for trick, rows := range map[trick]int{before: 0, after: 1} {
		p, through := between(t, pooled)
		s := openWith(t, Options{URL: through, DirectURL: direct})
		p.arm(trick)
		name := fmt.Sprint(trick)
		err := s.Update(t.Context(), putting(name))
		require.Equal(t, rows == 1, err == nil, err)
		require.NotErrorIs(t, err, store.ErrUnknown)
		require.Equal(t, rows, settingsNamed(t, direct, name))
	}
}
