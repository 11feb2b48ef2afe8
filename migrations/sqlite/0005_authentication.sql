-- Agents that sign with their own keys (RFC 7523), and secrets that age.

-- +goose Up
ALTER TABLE organizations ADD COLUMN max_credential_age INTEGER NOT NULL DEFAULT 0; -- seconds; 0: none

ALTER TABLE agents ADD COLUMN jwks TEXT CHECK (jwks IS NULL OR json_valid(jwks));
ALTER TABLE agents ADD COLUMN jwks_uri TEXT NOT NULL DEFAULT '';

ALTER TABLE credentials ADD COLUMN method TEXT NOT NULL DEFAULT 'client_secret'
    CHECK (method IN ('client_secret', 'private_key_jwt'));
ALTER TABLE credentials ADD COLUMN secret_set_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN warned_for INTEGER;
UPDATE credentials SET secret_set_at = created_at;

-- What a sweep for credentials that end soon has to look at.
CREATE INDEX credentials_expiring ON credentials (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;
CREATE INDEX credentials_aging ON credentials (organization_id, secret_set_at) WHERE status = 'active' AND method = 'client_secret';

-- Client assertions that were used, until they expire.
CREATE TABLE assertions (
    client_id  TEXT    NOT NULL,
    jti        TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, jti)
) STRICT, WITHOUT ROWID;

CREATE INDEX assertions_expiring ON assertions (expires_at);
