package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

const countedAgent = `
INSERT INTO agents (id, organization_id, email, agent_type, version, capabilities, administrator, owner, environment, status, created_at, updated_at, epoch, revision)
VALUES ($1, 'acme', $1, 'custom', '1', 'notes:read', false, 'ops', 'staging', 'active', 0, 0, 0, 1)`

const countedCapability = `INSERT INTO agent_capabilities (agent_id, capability) VALUES ($1, 'notes:read')`

const countedCredential = `
INSERT INTO credentials (id, client_id, agent_id, organization_id, method, status, secret_scheme, secret_encoded, secret_set_at, previous_scheme, previous_encoded, version, epoch, created_at)
VALUES ($1, $1, $1, 'acme', 'client_secret', 'active', '', '', 5, '', '', 1, 0, 0)`

// What replicas of the version before wrote, write while the migration comes, and
// write after it, is counted: none of them knows the counts.
func TestAgentsOfTheVersionBeforeAreCounted(t *testing.T) {
	address := pgtest.URL(t)
	require.NoError(t, migrate(t.Context(), address, until(t, "0015"), quietly))
	require.NoError(t, execute(t.Context(), address,
		"INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision) VALUES ('acme', 'a', 'free', 0, 0, 0, 1)"))
	older := connected(t, address)
	write := func(tx pgx.Tx, id string) {
		for _, statement := range []string{countedAgent, countedCapability, countedCredential} {
			_, err := tx.Exec(t.Context(), statement, id)
			require.NoError(t, err)
		}
	}
	for _, id := range []string{"before", "another"} {
		require.NoError(t, pgx.BeginFunc(t.Context(), older, func(tx pgx.Tx) error { write(tx, id); return nil }))
	}
	meanwhile, err := older.Begin(t.Context())
	require.NoError(t, err)
	_, err = meanwhile.Exec(t.Context(), writeLock)
	require.NoError(t, err)
	migrated := make(chan error, 1)
	go func() { migrated <- migrateQuietly(t.Context(), address) }()
	watcher := connected(t, address)
	require.Eventually(t, func() bool {
		var waits bool
		err := watcher.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waits)
		return err == nil && waits
	}, patience, glance)
	write(meanwhile, "meanwhile")
	require.NoError(t, meanwhile.Commit(t.Context()))
	require.NoError(t, <-migrated)
	require.NoError(t, pgx.BeginFunc(t.Context(), older, func(tx pgx.Tx) error { write(tx, "after"); return nil }))
	_, err = older.Exec(t.Context(), "UPDATE agents SET status = 'decommissioned', revision = revision + 1 WHERE id = 'before'")
	require.NoError(t, err)
	s := openURL(t, address)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		wrong, err := tx.Stats.Miscounted(ctx)
		require.NoError(t, err)
		require.Zero(t, wrong)
		live, err := tx.Agents.CountLive(ctx, "acme")
		require.Equal(t, 3, live)
		return err
	}))
}

// The role that serves reads the counts and has no other way to change them than
// the rows that they count.
func TestCountsAreTheOwners(t *testing.T) {
	owner, service := separated(t)
	require.NoError(t, execute(t.Context(), owner,
		"INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision) VALUES ('acme', 'a', 'free', 0, 0, 0, 1)"))
	conn := connected(t, service)
	for _, statement := range []string{countedAgent, countedCapability, countedCredential} {
		_, err := conn.Exec(t.Context(), statement, "agent")
		require.NoError(t, err)
	}
	_, err := conn.Exec(t.Context(), "UPDATE agents SET status = 'suspended'")
	require.NoError(t, err)
	require.Equal(t, 1, count(t, owner, "SELECT count FROM agent_counts WHERE organization_id = '' AND capability = '' AND status = 'suspended'"))
	for _, table := range []string{"agent_counts", "credential_ends", "credential_ages"} {
		for _, statement := range []string{"UPDATE " + table + " SET count = 7", "DELETE FROM " + table} {
			_, err := conn.Exec(t.Context(), statement)
			require.ErrorContains(t, err, "permission denied", statement)
		}
	}
	_, err = conn.Exec(t.Context(), "SELECT credential_move(c, true, 1) FROM credentials AS c")
	require.ErrorContains(t, err, "permission denied")
}
