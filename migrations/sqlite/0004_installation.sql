-- +goose Up
CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    use          TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('next', 'active', 'retired', 'revoked')),
    public       BLOB    NOT NULL, -- PKIX DER
    sealed       BLOB    NOT NULL, -- PKCS #8 DER, encrypted under the master key
    created_at   INTEGER NOT NULL,
    activated_at INTEGER,
    retired_at   INTEGER
) STRICT;

CREATE INDEX keys_listed ON keys (use, created_at, id);

CREATE TABLE sidecars (
    agent_id         TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    organization_id  TEXT    NOT NULL,
    version          TEXT    NOT NULL,
    policy_revision  TEXT    NOT NULL,
    feed_cursor      TEXT    NOT NULL,
    next_sequence    INTEGER NOT NULL,
    last_hash        TEXT    NOT NULL,
    last_decision_at INTEGER,
    seen_at          INTEGER NOT NULL,
    PRIMARY KEY (agent_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sidecars_seen ON sidecars (organization_id, seen_at DESC);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
