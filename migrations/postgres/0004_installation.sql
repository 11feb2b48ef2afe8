-- +goose Up
CREATE TABLE keys (
    id           text   COLLATE "C" NOT NULL PRIMARY KEY,
    use          text   COLLATE "C" NOT NULL,
    status       text   COLLATE "C" NOT NULL CHECK (status IN ('next', 'active', 'retired', 'revoked')),
    public       bytea  NOT NULL, -- PKIX DER
    sealed       bytea  NOT NULL, -- PKCS #8 DER, encrypted under the master key
    created_at   bigint NOT NULL,
    activate_at  bigint, -- when a next key is to become active
    activated_at bigint,
    retired_at   bigint
);

CREATE INDEX keys_listed ON keys (use, created_at, id);

CREATE TABLE sidecars (
    agent_id         text   COLLATE "C" NOT NULL,
    id               text   COLLATE "C" NOT NULL,
    organization_id  text   COLLATE "C" NOT NULL,
    version          text   COLLATE "C" NOT NULL,
    policy_revision  text   COLLATE "C" NOT NULL,
    feed_cursor      text   COLLATE "C" NOT NULL,
    next_sequence    bigint NOT NULL,
    last_hash        text   COLLATE "C" NOT NULL,
    last_decision_at bigint,
    seen_at          bigint NOT NULL,
    PRIMARY KEY (agent_id, id)
) WITH (fillfactor = 80);

CREATE INDEX sidecars_seen ON sidecars (organization_id, seen_at DESC);

CREATE TABLE settings (
    name  text COLLATE "C" NOT NULL PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);
