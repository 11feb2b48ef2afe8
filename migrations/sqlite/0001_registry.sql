-- Times are Unix milliseconds; NULL is "not yet" or "never". Text compares byte
-- for byte (the BINARY collation is SQLite's default).

-- +goose Up
CREATE TABLE organizations (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    revision   INTEGER NOT NULL
) STRICT;

CREATE INDEX organizations_listed ON organizations (created_at DESC, id);

CREATE TABLE agents (
    id              TEXT    NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    email           TEXT    NOT NULL,
    agent_type      TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    capabilities    TEXT    NOT NULL, -- as an OAuth scope: sorted, separated by one space
    administrator   INTEGER NOT NULL CHECK (administrator IN (0, 1)), -- idp.Agent.Administrator when written
    owner           TEXT    NOT NULL,
    environment     TEXT    NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('active', 'suspended', 'decommissioned')),
    metadata        TEXT    CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    last_auth_at    INTEGER,
    epoch           INTEGER NOT NULL,
    revision        INTEGER NOT NULL
) STRICT;

-- An email is free again after decommission.
CREATE UNIQUE INDEX agents_email ON agents (organization_id, email) WHERE status <> 'decommissioned';

-- A page comes in order from the first three columns; the rest lets the total
-- of every filter be counted without touching the rows.
CREATE INDEX agents_listed ON agents (organization_id, created_at DESC, id, status, owner, agent_type, environment);

CREATE INDEX agents_administrators ON agents (organization_id) WHERE administrator = 1;

-- One row per capability of agents.capabilities, for the literal filter.
CREATE TABLE agent_capabilities (
    agent_id   TEXT NOT NULL REFERENCES agents (id),
    capability TEXT NOT NULL,
    PRIMARY KEY (agent_id, capability)
) STRICT, WITHOUT ROWID;

CREATE INDEX agent_capabilities_held ON agent_capabilities (capability);

CREATE TABLE credentials (
    id               TEXT    NOT NULL PRIMARY KEY,
    client_id        TEXT    NOT NULL UNIQUE,
    agent_id         TEXT    NOT NULL REFERENCES agents (id),
    organization_id  TEXT    NOT NULL REFERENCES organizations (id),
    status           TEXT    NOT NULL CHECK (status IN ('active', 'revoked')),
    secret_scheme    TEXT    NOT NULL,
    secret_encoded   TEXT    NOT NULL,
    previous_scheme  TEXT    NOT NULL, -- '' when there is no previous secret
    previous_encoded TEXT    NOT NULL,
    previous_until   INTEGER,
    version          INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER,
    revoked_at       INTEGER,
    last_used_at     INTEGER
) STRICT;

CREATE INDEX credentials_listed ON credentials (agent_id, created_at DESC, id);

-- Tokens admitted per agent and UTC calendar month (202601 is January 2026).
CREATE TABLE token_usage (
    agent_id TEXT    NOT NULL REFERENCES agents (id),
    month    INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    PRIMARY KEY (agent_id, month)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    agent_id    TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    body_hash   BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    resource_id TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (agent_id, path, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_created ON idempotency (created_at);
