package postgres

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// tampering are statements that change what the log holds, or make room for it.
// The partition is that of sample events.
var tampering = []string{
	"UPDATE events SET body = ''", "DELETE FROM events", "TRUNCATE events",
	"UPDATE events_custom SET body = ''", "DELETE FROM events_custom", "TRUNCATE events_custom", "TRUNCATE events_free",
	"UPDATE events_custom_2026_03 SET body = ''", "DELETE FROM events_custom_2026_03", "TRUNCATE events_custom_2026_03", "TRUNCATE events_free_2026_03",
	"UPDATE tree_hashes SET hashes = hashes || hashes", "DELETE FROM tree_hashes", "TRUNCATE tree_hashes",
	"UPDATE checkpoints SET size = 6", "DELETE FROM checkpoints", "TRUNCATE checkpoints",
	"UPDATE event_kinds SET organization_id = 'other'", "DELETE FROM event_kinds", "TRUNCATE event_kinds",
	"UPDATE event_verbs SET action = 'other'", "DELETE FROM event_verbs", "TRUNCATE event_verbs",
	directInsert("events_custom_2026_03"), directInsert("events_custom"),
}

func directInsert(table string) string {
	return fmt.Sprintf("INSERT INTO %s SELECT sequence + 1, timestamp, kind, verb, retention, 'forged', agent_id, body FROM events", table)
}

// appendAll appends the events and as many leaves, and a checkpoint.
func appendAll(t *testing.T, s *Store, rows ...store.EventRow) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.Events.Append(ctx, rows))
		growTree(ctx, t, tx, len(rows))
		return tx.Tree.SaveCheckpoint(ctx, store.Checkpoint{Size: int64(len(rows)), Note: []byte("note"), CreatedAt: time.Now()})
	}))
}

func TestTriggersRefuseEvenASuperuser(t *testing.T) {
	address := fresh(t)
	appendAll(t, openURL(t, address), sample(0))
	for _, statement := range tampering {
		require.ErrorContains(t, execute(t.Context(), address, statement), "the audit log is append-only", statement)
	}
	for name, statement := range map[string]string{
		"a gap":             "INSERT INTO events SELECT sequence + 2, timestamp, kind, verb, retention, 'forged', agent_id, body FROM events",
		"a repeat":          "INSERT INTO events SELECT sequence, timestamp, kind, verb, 'free', 'forged', agent_id, body FROM events",
		"a repeat in one":   "INSERT INTO events SELECT 1, timestamp, kind, verb, class, 'forged', agent_id, body FROM events, unnest(ARRAY['free', 'custom']) AS class",
		"a repeat in three": "INSERT INTO events SELECT n, timestamp, kind, verb, class, 'forged' || class || n, agent_id, body FROM events, (VALUES (1, 'free'), (3, 'free'), (1, 'custom')) AS v (n, class)",
	} {
		require.ErrorContains(t, execute(t.Context(), address, statement), "do not continue the log", name)
	}
	require.Equal(t, 1, count(t, address, "SELECT count(*) FROM events"))
}

// separated is a database whose owner is not the role that serves, on a server
// of its own: roles belong to the whole server.
func separated(t *testing.T) (owner, service string) {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{})
	for _, statement := range []string{
		"CREATE ROLE audit_owner LOGIN", "CREATE ROLE agentidp_service NOLOGIN", "CREATE ROLE agentidp_app LOGIN IN ROLE agentidp_service",
		"CREATE DATABASE audit OWNER audit_owner",
	} {
		server.Exec(t, "postgres", statement)
	}
	owner, service = as(t, server.URL("audit"), "audit_owner"), as(t, server.URL("audit"), "agentidp_app")
	require.NoError(t, migrateQuietly(t.Context(), owner))
	return owner, service
}

func as(t *testing.T, address, role string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.User(role)
	return parsed.String()
}

func TestNobodyIsGrantedToChangeTheLog(t *testing.T) {
	owner, service := separated(t)
	s := openURL(t, service)
	// March has no partition yet: the service role makes it without owning it.
	appendAll(t, s, sample(0))
	require.NoError(t, s.Maintain(t.Context(), sampleTime.AddDate(1, 0, 0)))
	require.Len(t, listed(t, s, store.EventFilter{AgentID: "agent", Limit: 10}), 1)
	for role, address := range map[string]string{"owner": owner, "service": service} {
		for _, statement := range tampering {
			require.ErrorContains(t, execute(t.Context(), address, statement), "permission denied for table", "%s: %s", role, statement)
		}
	}
	for _, statement := range []string{
		"DROP TABLE events", "DROP TABLE events_custom_2026_03", "ALTER TABLE events_custom DETACH PARTITION events_custom_2026_03",
		"ALTER TABLE events DISABLE TRIGGER ALL", "ALTER TABLE events_custom_2026_03 DISABLE TRIGGER ALL", "DROP TRIGGER events_continue ON events",
		"CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
		"SET session_replication_role = replica",
		"UPDATE event_head SET next = 0", "UPDATE event_segments SET lowest = 0", "DELETE FROM event_segments", "INSERT INTO event_kinds (organization_id, verb) VALUES ('x', 1)",
		"UPDATE event_targets SET sequence = 1", "DELETE FROM event_targets", "INSERT INTO event_targets VALUES ('agent', 1, 0, 'free')",
		"DELETE FROM tree_head", "SELECT * FROM events_custom_2026_03",
	} {
		require.Error(t, execute(t.Context(), service, statement), statement)
	}
}

// Who may execute a function of a trigger may put it on a table of its own, with
// types whose casts then run as the function's owner.
func TestNobodyIsGrantedWhatRunsForTheOwner(t *testing.T) {
	owner, service := separated(t)
	require.Positive(t, count(t, owner, "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"))
	require.Zero(t, count(t, owner, `
SELECT count(*) FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
WHERE pronamespace = 'public'::regnamespace AND (prosecdef OR prorettype = 'trigger'::regtype) AND a.grantee = 0`))
	conn := connected(t, service)
	_, err := conn.Exec(t.Context(), "CREATE TEMP TABLE agents (LIKE public.agents)")
	require.NoError(t, err)
	for _, name := range []string{"agents_added", "credentials_added", "agent_capabilities_added"} {
		_, err := conn.Exec(t.Context(), "CREATE TRIGGER mine AFTER INSERT ON pg_temp.agents REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public."+name+"()")
		require.ErrorContains(t, err, "permission denied for function public."+name)
	}
}

// A role cannot make the functions that run as their owner use its own tables.
func TestDefinersLookNowhereElse(t *testing.T) {
	owner, service := separated(t)
	appendAll(t, openURL(t, service), sample(0))
	conn := connected(t, service)
	for _, statement := range []string{
		"CREATE TEMP TABLE event_head (id integer, next bigint)", "INSERT INTO event_head VALUES (1, 7)",
		"CREATE TEMP TABLE event_verbs (verb smallint, action text, outcome text)",
		"SET search_path = pg_temp, public",
	} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	_, err := conn.Exec(t.Context(), "INSERT INTO public.events SELECT 7, timestamp, kind, verb, retention, 'forged', agent_id, body FROM public.events")
	require.ErrorContains(t, err, "do not continue the log")
	require.Equal(t, 0, count(t, owner, `
		SELECT count(*) FROM pg_proc
		WHERE prosecdef AND pronamespace = 'public'::regnamespace AND NOT 'search_path=public, pg_temp' = ANY (coalesce(proconfig, '{}'))`))
}
