package store

import "context"

// Table is one that moves from a backend to another as it is: by the same name
// and columns in both.
type Table struct {
	Name    string
	Columns []string
}

// Tables are those that move as they are, in an order in which each follows
// what it refers to. What is kept differently is read by its own method of Dump;
// what is derived from events is derived again.
var Tables = []Table{
	{"organizations", []string{"id", "name", "plan", "max_credential_age", "created_at", "updated_at", "epoch", "revision"}},
	{"agents", []string{
		"id", "organization_id", "email", "agent_type", "version", "capabilities", "administrator", "owner", "environment", "status",
		"metadata", "jwks", "jwks_uri", "created_at", "updated_at", "last_auth_at", "epoch", "revision",
	}},
	{"agent_capabilities", []string{"agent_id", "capability"}},
	{"credentials", []string{
		"id", "client_id", "agent_id", "organization_id", "method", "status", "secret_scheme", "secret_encoded", "secret_set_at",
		"previous_scheme", "previous_encoded", "previous_until", "version", "epoch", "created_at", "expires_at", "revoked_at", "last_used_at", "warned_for",
	}},
	{"token_usage", []string{"agent_id", "month", "tokens", "organization_id", "rank"}},
	{"idempotency", []string{"agent_id", "path", "key", "body_hash", "status", "resource_id", "created_at"}},
	{"assertions", []string{"client_id", "jti", "expires_at"}},
	{"pruned_segments", []string{"segment", "pruning", "bitmap"}},
	{"checkpoints", []string{"size", "note", "created_at"}},
	{"revocations", []string{"seq", "type", "id", "epoch", "expires_at", "reason", "at"}},
	{"keys", []string{"id", "use", "status", "public", "sealed", "created_at", "activate_at", "activated_at", "retired_at"}},
	{"sidecars", []string{
		"agent_id", "id", "organization_id", "version", "policy_revision", "feed_cursor", "next_sequence", "last_hash", "last_decision_at", "seen_at",
		"name", "feed_cursor_at",
	}},
	{"settings", []string{"name", "value"}},
	{"status_lists", []string{"id", "used", "taken_at"}},
}

// Dump is everything that a backend keeps, in one snapshot, for another to
// load. What a visitor is given is its own only until it returns; its error ends
// the visit and is returned.
type Dump interface {
	// Tx reads the snapshot as usual.
	Tx() *Tx
	// Rows visits the rows of one of Tables, in the order they were made or of
	// their keys. A value is nil, int64, string or []byte.
	Rows(ctx context.Context, table string, visit func(row []any) error) error
	// Events visits all events that are not pruned, lowest sequence first.
	Events(ctx context.Context, visit func(EventRow, Class) error) error
	// Counts visits what Stats has counted. It is derived, but outlives the events that were pruned.
	Counts(ctx context.Context, visit func(Tally) error) error
	// Hashes visits the stored hashes of the tree, as the argument of Tree.Append, a few at a time.
	Hashes(ctx context.Context, visit func(first int64, hashes [][32]byte) error) error
}
