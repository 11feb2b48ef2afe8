package faults

import (
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// snapshot is what a store holds, read without the product's code.
type snapshot struct {
	agents      map[string]agentRow
	credentials map[string]credentialRow
	usage       map[string]int      // tokens by agent
	revoked     map[string]int      // entries by jti
	keys        map[string][]string // resources by Idempotency-Key
	events      []event             // in order
}

type agentRow struct {
	email, status string
	epoch         int
}

type credentialRow struct {
	agentID, clientID, status string
	version                   int
}

// event is one line of the audit log.
type event struct {
	Sequence  int64
	Action    string
	Outcome   string
	AgentID   string
	RequestID string
	Metadata  struct {
		TargetAgentID, CredentialID, ClientID, JTI, Type, ID string
	}
}

func look(t *testing.T, s *site) snapshot {
	t.Helper()
	db := s.open(t)
	defer db.Close()
	view := snapshot{
		agents: map[string]agentRow{}, credentials: map[string]credentialRow{}, usage: map[string]int{}, revoked: map[string]int{}, keys: map[string][]string{},
	}
	each(t, db, `SELECT id, email, status, epoch FROM agents`, func(scan func(...any)) {
		var id string
		var row agentRow
		scan(&id, &row.email, &row.status, &row.epoch)
		view.agents[id] = row
	})
	each(t, db, `SELECT id, agent_id, client_id, status, version FROM credentials`, func(scan func(...any)) {
		var id string
		var row credentialRow
		scan(&id, &row.agentID, &row.clientID, &row.status, &row.version)
		view.credentials[id] = row
	})
	each(t, db, `SELECT agent_id, tokens FROM token_usage`, func(scan func(...any)) {
		var id string
		var tokens int
		scan(&id, &tokens)
		view.usage[id] += tokens
	})
	each(t, db, `SELECT id FROM revocations WHERE type = 'jti'`, func(scan func(...any)) {
		var id string
		scan(&id)
		view.revoked[id]++
	})
	each(t, db, `SELECT key, resource_id FROM idempotency`, func(scan func(...any)) {
		var key, id string
		scan(&key, &id)
		view.keys[key] = append(view.keys[key], id)
	})
	each(t, db, `SELECT body FROM events ORDER BY sequence`, func(scan func(...any)) {
		var body []byte
		scan(&body)
		var e event
		require.NoError(t, json.Unmarshal(body, &e))
		view.events = append(view.events, e)
	})
	return view
}

func each(t *testing.T, db *sql.DB, query string, row func(scan func(...any))) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		row(func(into ...any) { require.NoError(t, rows.Scan(into...)) })
	}
	require.NoError(t, rows.Err())
}
