package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Dump runs fn on one snapshot of everything.
func (s *Store) Dump(ctx context.Context, fn func(ctx context.Context, d store.Dump) error) error {
	return s.view(ctx, func(ctx context.Context, t *transaction) error { return fn(ctx, dump{t}) })
}

type dump struct{ *transaction }

func (d dump) Tx() *store.Tx { return d.tx() }

// Columns in the order of store.Tables.
const (
	dumpOrganizations = `SELECT id, name, plan, max_credential_age, created_at, updated_at, epoch, revision FROM organizations ORDER BY id`
	dumpAgents        = `
SELECT id, organization_id, email, agent_type, version, capabilities, administrator, owner, environment, status,
    metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
ORDER BY id`
	dumpAgentCapabilities = `SELECT agent_id, capability FROM agent_capabilities ORDER BY agent_id, capability`
	dumpCredentials       = `
SELECT id, client_id, agent_id, organization_id, method, status, secret_scheme, secret_encoded, secret_set_at,
    previous_scheme, previous_encoded, previous_until, version, epoch, created_at, expires_at, revoked_at, last_used_at, warned_for
FROM credentials
ORDER BY id`
	dumpTokenUsage  = `SELECT agent_id, month, tokens, organization_id, rank FROM token_usage ORDER BY agent_id, month`
	dumpIdempotency = `SELECT agent_id, path, key, body_hash, status, resource_id, created_at FROM idempotency ORDER BY agent_id, path, key`
	dumpAssertions  = `SELECT client_id, jti, expires_at FROM assertions ORDER BY client_id, jti`
	dumpPruned      = `SELECT segment, pruning, bitmap FROM pruned_segments ORDER BY segment, pruning`
	dumpCheckpoints = `SELECT size, note, created_at FROM checkpoints ORDER BY id`
	dumpRevocations = `SELECT seq, type, id, epoch, expires_at, reason, at FROM revocations ORDER BY seq`
	dumpKeys        = `SELECT id, use, status, public, sealed, created_at, activate_at, activated_at, retired_at FROM keys ORDER BY rowid`
	dumpSidecars    = `
SELECT agent_id, id, organization_id, version, policy_revision, feed_cursor, next_sequence, last_hash, last_decision_at, seen_at, name, feed_cursor_at
FROM sidecars
ORDER BY agent_id, id`
	dumpSettings    = `SELECT name, value FROM settings ORDER BY name`
	dumpStatusLists = `SELECT id, used, taken_at FROM status_lists ORDER BY id`
)

func dumped(table string) (query string, known bool) {
	query, known = map[string]string{
		"organizations": dumpOrganizations, "agents": dumpAgents, "agent_capabilities": dumpAgentCapabilities,
		"credentials": dumpCredentials, "token_usage": dumpTokenUsage, "idempotency": dumpIdempotency,
		"assertions": dumpAssertions, "pruned_segments": dumpPruned, "checkpoints": dumpCheckpoints, "revocations": dumpRevocations,
		"keys": dumpKeys, "sidecars": dumpSidecars, "settings": dumpSettings, "status_lists": dumpStatusLists,
	}[table]
	return query, known
}

func (d dump) Rows(ctx context.Context, table string, visit func(row []any) error) error {
	query, known := dumped(table)
	if !known {
		return fmt.Errorf("no table %q is moved", table)
	}
	var row, places []any
	return each(ctx, d.transaction, query, func(rows *sql.Rows) error {
		if row == nil {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			row, places = make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				places[i] = &row[i]
			}
		}
		if err := rows.Scan(places...); err != nil {
			return err
		}
		return visit(row)
	})
}

const dumpEvents = `
SELECT sequence, event_id, organization_id, agent_id, action, outcome, timestamp, body, retention
FROM events
ORDER BY sequence`

func (d dump) Events(ctx context.Context, visit func(store.EventRow, store.Class) error) error {
	return each(ctx, d.transaction, dumpEvents, func(rows *sql.Rows) error {
		var e store.EventRow
		var class store.Class
		err := rows.Scan(&e.Sequence, &e.ID, &e.OrganizationID, &e.AgentID, &e.Action, &e.Outcome, moment{&e.Timestamp}, &e.Body, &class)
		if err != nil {
			return err
		}
		return visit(e, class)
	})
}

const dumpCounts = `SELECT step, at, organization_id, action, outcome, count FROM event_counts ORDER BY step, at, organization_id, action, outcome`

func (d dump) Counts(ctx context.Context, visit func(store.Tally) error) error {
	return each(ctx, d.transaction, dumpCounts, func(rows *sql.Rows) error {
		var n store.Tally
		if err := rows.Scan(&n.Step, &n.At, &n.OrganizationID, &n.Action, &n.Outcome, &n.Count); err != nil {
			return err
		}
		return visit(n)
	})
}

const dumpHashes = `SELECT chunk, hashes FROM tree_hashes ORDER BY chunk`

func (d dump) Hashes(ctx context.Context, visit func(first int64, hashes [][32]byte) error) error {
	return each(ctx, d.transaction, dumpHashes, func(rows *sql.Rows) error {
		var chunk int64
		var kept []byte
		if err := rows.Scan(&chunk, &kept); err != nil {
			return err
		}
		hashes := make([][32]byte, len(kept)/hashSize)
		for i := range hashes {
			copy(hashes[i][:], kept[i*hashSize:])
		}
		return visit(chunk*chunkHashes, hashes)
	})
}

// each visits the rows of a query as they are read, until ctx ends.
func each(ctx context.Context, t *transaction, query string, visit func(rows *sql.Rows) error) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	statement, err := t.session.prepared(context.WithoutCancel(ctx), query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return t.judge(err)
	}
	rows, err := statement.QueryContext(ctx)
	if err != nil {
		return t.judge(err)
	}
	defer rows.Close() //nolint:errcheck // Err below reports what ended the rows
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return t.judge(rows.Err())
}
