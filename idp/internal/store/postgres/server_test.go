package postgres

import (
	"context"
	"log/slog"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// refused demands that the database at the address is not opened, for a reason.
func refused(t *testing.T, address, reason string) {
	t.Helper()
	_, err := Open(t.Context(), Options{URL: address})
	require.ErrorContains(t, err, reason)
}

func TestServerThatForgetsIsRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{Conf: []string{"fsync = off"}})
	refused(t, server.URL("postgres"), `fsync is "off"`)
	require.ErrorContains(t, Migrate(t.Context(), server.URL("postgres"), quietly), `fsync is "off"`)
}

func TestStandbyIsRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	require.NoError(t, Migrate(t.Context(), server.URL("postgres"), quietly))
	s := openURL(t, server.URL("postgres"))
	server.Stop(t, "fast")
	server.Standby(t, true)
	server.Start(t)
	refused(t, server.URL("postgres"), "the server is a standby")
	require.ErrorIs(t, s.Ping(t.Context()), store.ErrUnavailable, "a primary that became one")
	require.ErrorIs(t, s.Update(t.Context(), putting("a")), store.ErrUnavailable)
	server.Stop(t, "fast")
	server.Standby(t, false)
	server.Start(t)
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Update(t.Context(), putting("a")))
}

func TestSettingsOfTheDatabaseAreSeen(t *testing.T) {
	for setting, reason := range map[string]string{
		"synchronous_commit = off":           `synchronous_commit is "off"`,
		"default_transaction_read_only = on": "default_transaction_read_only is on",
	} {
		address := fresh(t)
		require.NoError(t, alter(t.Context(), address, setting))
		refused(t, address, reason)
	}
	address := fresh(t)
	require.NoError(t, alter(t.Context(), address, "synchronous_commit = local"))
	require.Contains(t, openURL(t, address).Settings(), slog.String("synchronous_commit", "local"))
}

// alter changes a setting of the database for sessions that begin later.
func alter(ctx context.Context, address, setting string) error {
	return execute(ctx, address, "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET "+setting+"'; END $$")
}

// Nobody is told that a commit is durable once the server stops making it so.
func TestSettingsThatChangeLaterStopWriting(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	require.NoError(t, s.Update(t.Context(), putting("before")))
	require.NoError(t, alter(t.Context(), address, "synchronous_commit = off"))
	s.pool.Reset()
	err := s.Update(t.Context(), putting("meanwhile"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, err, errNotDurable)
	require.ErrorIs(t, s.Ping(t.Context()), store.ErrUnavailable)
	require.NoError(t, alter(t.Context(), address, "synchronous_commit = on"))
	s.pool.Reset()
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Update(t.Context(), putting("after")))
	require.Zero(t, settingsNamed(t, address, "meanwhile"))
}

func TestEveryProblemOfTheServerIsNamed(t *testing.T) {
	err := server{number: 130012, version: "13.12", fsync: "", synchronousCommit: "", standby: true}.check()
	for _, problem := range []string{"13.12 is too old", `fsync is ""`, `synchronous_commit is ""`, "standby"} {
		require.ErrorContains(t, err, problem)
	}
	for _, mode := range []string{"on", "local", "remote_write", "remote_apply"} {
		require.NoError(t, server{number: 140000, fsync: "on", synchronousCommit: mode}.check())
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	address := fresh(t)
	for _, o := range []struct {
		options Options
		reason  string
	}{
		{Options{URL: address, MaxConns: 1}, "too few"},
		{Options{URL: "postgres://u:hunter2@127.0.0.1:1/x?sslmode=odd"}, "sslmode"},
		{Options{URL: "postgres://u:hunter2@127.0.0.1:1/x"}, "127.0.0.1:1"},
		{Options{URL: address, DirectURL: "postgres://u:hunter2@127.0.0.1:1/x?sslmode=odd"}, "sslmode"},
		{Options{URL: "postgres://u:hunter2@127.0.0.1:1/x", Migrate: true}, "127.0.0.1:1"},
	} {
		_, err := Open(t.Context(), o.options)
		require.ErrorContains(t, err, o.reason)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestPoolIsMeasured(t *testing.T) {
	set := metrics.NewSet()
	s := openWith(t, Options{URL: fresh(t), Metrics: set})
	require.NoError(t, s.Ping(t.Context()))
	require.Subset(t, set.ListMetricNames(), []string{
		"agentidp_store_listening", `agentidp_store_connections{state="used"}`, `agentidp_store_connections{state="idle"}`,
	})
	require.InDelta(t, 1, set.GetOrCreateGauge(`agentidp_store_connections{state="idle"}`, nil).Get(), 0)
}
