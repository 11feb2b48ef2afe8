package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func TestAgentsOfBeforeAreCounted(t *testing.T) {
	s := migratedFrom(t, 13, countedBefore...)
	require.NoError(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		wrong, err := tx.Stats.Miscounted(ctx)
		require.NoError(t, err)
		require.Zero(t, wrong)
		found, err := tx.Agents.List(ctx, store.AgentFilter{OrganizationID: "acme", Capability: "notes:read", Status: idp.Suspended}, store.AgentOrder{}, store.Page{Number: 1, Limit: 5})
		require.Equal(t, 1, found.Total)
		return err
	}))
}

var countedBefore = []string{
	"INSERT INTO organizations (id, name, plan, created_at, updated_at, epoch, revision) VALUES ('acme', 'a', 'free', 0, 0, 0, 1)",
	`INSERT INTO agents (id, organization_id, email, agent_type, version, capabilities, administrator, owner, environment, status, created_at, updated_at, epoch, revision) VALUES
		('one', 'acme', 'a@b.c', 'custom', '1', 'notes:read', 0, 'ops', 'staging', 'active', 0, 0, 0, 1),
		('two', 'acme', 'd@b.c', 'custom', '1', 'notes:read', 0, 'ops', 'staging', 'suspended', 0, 0, 0, 1)`,
	"INSERT INTO agent_capabilities (agent_id, capability) VALUES ('one', 'notes:read'), ('two', 'notes:read'), ('two', 'x:y')",
	`INSERT INTO credentials (id, client_id, agent_id, organization_id, method, status, secret_scheme, secret_encoded, secret_set_at, previous_scheme, previous_encoded, version, epoch, created_at, expires_at) VALUES
		('c1', 'k1', 'one', 'acme', 'client_secret', 'active', '', '', 5, '', '', 1, 0, 0, NULL), ('c2', 'k2', 'two', 'acme', 'client_secret', 'active', '', '', 5, '', '', 1, 0, 0, 7),
		('c3', 'k3', 'two', 'acme', 'private_key_jwt', 'active', '', '', 5, '', '', 1, 0, 0, 7), ('c4', 'k4', 'two', 'acme', 'client_secret', 'revoked', '', '', 5, '', '', 1, 0, 0, 7)`,
}
