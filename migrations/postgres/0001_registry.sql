-- Times are Unix milliseconds; NULL is "not yet" or "never". Text compares byte
-- for byte: COLLATE "C", whatever the database's own collation. JSON is kept as
-- the text that was given, because jsonb changes it.

-- +goose Up
CREATE TABLE organizations (
    id                 text   COLLATE "C" NOT NULL PRIMARY KEY,
    name               text   COLLATE "C" NOT NULL,
    plan               text   COLLATE "C" NOT NULL,
    max_credential_age bigint NOT NULL DEFAULT 0, -- seconds; 0: none
    created_at         bigint NOT NULL,
    updated_at         bigint NOT NULL,
    epoch              bigint NOT NULL,
    revision           bigint NOT NULL
);

CREATE INDEX organizations_listed ON organizations (created_at DESC, id);

CREATE TABLE agents (
    id              text    COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text    COLLATE "C" NOT NULL REFERENCES organizations (id),
    email           text    COLLATE "C" NOT NULL,
    agent_type      text    COLLATE "C" NOT NULL,
    version         text    COLLATE "C" NOT NULL,
    capabilities    text    COLLATE "C" NOT NULL, -- as an OAuth scope: sorted, separated by one space
    administrator   boolean NOT NULL, -- idp.Agent.Administrator when written
    owner           text    COLLATE "C" NOT NULL,
    environment     text    COLLATE "C" NOT NULL,
    status          text    COLLATE "C" NOT NULL CHECK (status IN ('active', 'suspended', 'decommissioned')),
    metadata        text    COLLATE "C" CHECK (metadata IS NULL OR metadata::json IS NOT NULL),
    jwks            text    COLLATE "C" CHECK (jwks IS NULL OR jwks::json IS NOT NULL),
    jwks_uri        text    COLLATE "C" NOT NULL DEFAULT '',
    created_at      bigint  NOT NULL,
    updated_at      bigint  NOT NULL,
    last_auth_at    bigint,
    epoch           bigint  NOT NULL,
    revision        bigint  NOT NULL
) WITH (fillfactor = 85); -- last_auth_at moves in place

-- An email is free again after decommission.
CREATE UNIQUE INDEX agents_email ON agents (organization_id, email) WHERE status <> 'decommissioned';

-- A page comes in order from the keys; the rest lets the total of every filter
-- be counted without touching the rows.
CREATE INDEX agents_listed ON agents (organization_id, created_at DESC, id) INCLUDE (status, owner, agent_type, environment);

CREATE INDEX agents_administrators ON agents (organization_id) WHERE administrator;

-- One row per capability of agents.capabilities, for the literal filter.
CREATE TABLE agent_capabilities (
    agent_id   text COLLATE "C" NOT NULL REFERENCES agents (id),
    capability text COLLATE "C" NOT NULL,
    PRIMARY KEY (agent_id, capability)
);

CREATE INDEX agent_capabilities_held ON agent_capabilities (capability);

CREATE TABLE credentials (
    id               text   COLLATE "C" NOT NULL PRIMARY KEY,
    client_id        text   COLLATE "C" NOT NULL UNIQUE,
    agent_id         text   COLLATE "C" NOT NULL REFERENCES agents (id),
    organization_id  text   COLLATE "C" NOT NULL REFERENCES organizations (id),
    method           text   COLLATE "C" NOT NULL CHECK (method IN ('client_secret', 'private_key_jwt')),
    status           text   COLLATE "C" NOT NULL CHECK (status IN ('active', 'revoked')),
    secret_scheme    text   COLLATE "C" NOT NULL,
    secret_encoded   text   COLLATE "C" NOT NULL,
    secret_set_at    bigint NOT NULL,
    previous_scheme  text   COLLATE "C" NOT NULL, -- '' when there is no previous secret
    previous_encoded text   COLLATE "C" NOT NULL,
    previous_until   bigint,
    version          bigint NOT NULL,
    epoch            bigint NOT NULL,
    created_at       bigint NOT NULL,
    expires_at       bigint,
    revoked_at       bigint,
    last_used_at     bigint,
    warned_for       bigint
) WITH (fillfactor = 85); -- last_used_at moves in place

CREATE INDEX credentials_listed ON credentials (agent_id, created_at DESC, id);

-- What a sweep for credentials that end soon has to look at.
CREATE INDEX credentials_expiring ON credentials (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;
CREATE INDEX credentials_aging ON credentials (organization_id, secret_set_at) WHERE status = 'active' AND method = 'client_secret';

-- Tokens admitted per agent and UTC calendar month (202601 is January 2026).
CREATE TABLE token_usage (
    agent_id text   COLLATE "C" NOT NULL REFERENCES agents (id),
    month    bigint NOT NULL,
    tokens   bigint NOT NULL,
    PRIMARY KEY (agent_id, month)
) WITH (fillfactor = 70); -- tokens grows in place

CREATE TABLE idempotency (
    agent_id    text   COLLATE "C" NOT NULL,
    path        text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    body_hash   bytea  NOT NULL,
    status      bigint NOT NULL,
    resource_id text   COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    PRIMARY KEY (agent_id, path, key)
);

CREATE INDEX idempotency_created ON idempotency (created_at);
