package postgres_test

import (
	"context"
	"net/url"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// Tables that Load fills by a method of their own, that it derives, or that say nothing of the store's content.
var (
	loadedOtherwise = []string{"events", "events_free", "events_custom", "events_record", "event_counts", "tree_hashes", "tree_head", "revocation_head"}
	derived         = []string{"event_verbs", "event_kinds", "event_segments", "event_head", "event_targets", "agent_counts", "credential_ends", "credential_ages"}
	ofTheServer     = []string{"changes", "writers", "goose_db_version"}
)

// A table or column that is new stays empty after a move unless somebody says where it comes from.
func TestEveryTableAndColumnIsLoaded(t *testing.T) {
	address := target(t)
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	names := func(query string, args ...any) []string {
		rows, err := conn.Query(t.Context(), query, args...)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	expected := slices.Concat(loadedOtherwise, derived, ofTheServer)
	for _, table := range store.Tables {
		expected = append(expected, table.Name)
		columns := names("SELECT column_name::text FROM information_schema.columns WHERE table_name = $1 AND is_identity = 'NO'", table.Name)
		require.ElementsMatch(t, columns, table.Columns, table.Name)
	}
	require.ElementsMatch(t, names(`SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname !~ '_\d{4}_\d{2}$'`), expected)
}

// rows counts everything but what a migration puts there.
const rows = `
SELECT (SELECT count(*) FROM organizations) + (SELECT count(*) FROM agents) + (SELECT count(*) FROM events) + (SELECT count(*) FROM tree_hashes)
    + (SELECT count(*) FROM keys) + (SELECT count(*) FROM event_kinds) + (SELECT count(*) FROM checkpoints) + (SELECT next FROM event_head) + (SELECT size FROM tree_head)`

// Whatever ends a load leaves the target as empty as it was, and the source as it is.
func TestALoadThatFailsLeavesNothing(t *testing.T) {
	from := source(t)
	fill(t, from, 12_000)
	before := everythingOf(t, from)
	address := target(t)
	fails := func(name string, o postgres.LoadOptions, ctx context.Context) {
		t.Helper()
		o.URL = address
		require.Error(t, load(ctx, from, o), name)
		require.Zero(t, number(t, address, rows), name)
		require.Equal(t, int64(1), number(t, address, "SELECT count(*) FROM pg_trigger WHERE tgname = 'events_continue' AND tgenabled = 'O'"), name)
	}
	fails("a check", postgres.LoadOptions{Check: func(context.Context, *store.Tx) error { return errLook }}, t.Context())
	cancelled, cancel := context.WithCancel(t.Context())
	fails("a cancelled context", postgres.LoadOptions{Progress: func(table string, rows int64) {
		if table == "events" && rows > 8000 {
			cancel()
		}
	}}, cancelled)
	late, cancelLate := context.WithCancel(t.Context())
	fails("cancelled before the commit", postgres.LoadOptions{Check: func(context.Context, *store.Tx) error { cancelLate(); return nil }}, late)
	cut := func() {
		require.Equal(t, int64(1), number(t, address, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'agentidp'"))
	}
	once := false
	fails("a cut connection", postgres.LoadOptions{Progress: func(table string, _ int64) {
		if table == "events" && !once {
			once = true
			cut()
		}
	}}, t.Context())
	fails("cut before the commit", postgres.LoadOptions{Check: func(context.Context, *store.Tx) error { cut(); return nil }}, t.Context())

	require.NoError(t, load(t.Context(), from, postgres.LoadOptions{URL: address}), "and then it works")
	require.Equal(t, before, everythingOf(t, from))
}

// everythingOf is short: the log's events and the registry.
func everythingOf(t *testing.T, db store.DB) (readings []any) {
	t.Helper()
	require.NoError(t, db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		events, err := tx.Events.Range(ctx, store.AnyOrganization, 0, 1_000_000)
		require.NoError(t, err)
		agents, err := tx.Agents.List(ctx, store.AgentFilter{}, store.AgentOrder{}, store.Page{Number: 1, Limit: 100})
		readings = []any{events, agents}
		return err
	}))
	return readings
}

// holed is a source whose tree lacks hashes, in the middle or at the end.
type holed struct {
	store.Dump
	without int64
}

func (h holed) Hashes(ctx context.Context, visit func(first int64, hashes [][32]byte) error) error {
	return h.Dump.Hashes(ctx, func(first int64, hashes [][32]byte) error {
		if first <= h.without && h.without < first+int64(len(hashes)) {
			return nil
		}
		return visit(first, hashes)
	})
}

func TestATreeWithAHoleIsNotLoaded(t *testing.T) {
	from := source(t)
	fill(t, from, 1000)
	address := target(t)
	for _, without := range []int64{70, 1990} {
		require.ErrorContains(t, from.Dump(t.Context(), func(ctx context.Context, d store.Dump) error {
			return postgres.Load(ctx, holed{d, without}, postgres.LoadOptions{URL: address})
		}), "the source has", without)
	}
	require.Zero(t, number(t, address, rows))
}

func TestWhereNothingCanBeLoaded(t *testing.T) {
	empty := pgtest.URL(t)
	require.ErrorIs(t, postgres.Load(t.Context(), nil, postgres.LoadOptions{URL: empty}), postgres.ErrSchema)
	require.ErrorContains(t, postgres.Load(t.Context(), nil, postgres.LoadOptions{URL: "postgres://127.0.0.1:1/x?sslmode=odd"}), "sslmode")
	require.Error(t, postgres.Load(t.Context(), nil, postgres.LoadOptions{URL: "postgres://127.0.0.1:1/x"}))

	server := pgtest.Start(t, pgtest.Options{}) // roles are the whole server's
	for _, statement := range []string{"CREATE ROLE audit_owner LOGIN", "CREATE ROLE agentidp_service NOLOGIN", "CREATE ROLE agentidp_app LOGIN IN ROLE agentidp_service", "CREATE DATABASE audit OWNER audit_owner"} {
		server.Exec(t, "postgres", statement)
	}
	as := func(role string) string {
		parsed, err := url.Parse(server.URL("audit"))
		require.NoError(t, err)
		parsed.User = url.User(role)
		return parsed.String()
	}
	require.NoError(t, postgres.Migrate(t.Context(), as("audit_owner"), func(string) {}))
	require.ErrorIs(t, postgres.Load(t.Context(), nil, postgres.LoadOptions{URL: as("agentidp_app")}), postgres.ErrNotOwner)
	from := source(t)
	fill(t, from, 1000)
	require.NoError(t, load(t.Context(), from, postgres.LoadOptions{URL: as("audit_owner")}), "an owner who is no superuser")
	served, err := postgres.Open(t.Context(), postgres.Options{URL: as("agentidp_app")})
	require.NoError(t, err)
	require.Len(t, everythingOf(t, served), 2)
	require.NoError(t, served.Close())
}
