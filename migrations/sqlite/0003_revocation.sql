-- +goose Up
CREATE TABLE revocations (
    seq        INTEGER NOT NULL PRIMARY KEY,
    type       TEXT    NOT NULL CHECK (type IN ('organization', 'agent', 'credential', 'jti', 'kid')),
    id         TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    expires_at INTEGER,
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE INDEX revocations_named ON revocations (type, id);
CREATE INDEX revocations_expiring ON revocations (expires_at) WHERE type = 'jti';
CREATE INDEX revocations_aging ON revocations (at) WHERE type IN ('organization', 'agent', 'credential');

-- Kept apart from the rows: pruning must not give a sequence out twice.
CREATE TABLE revocation_head (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last   INTEGER NOT NULL, -- highest seq ever given
    pruned INTEGER NOT NULL  -- highest seq ever pruned
) STRICT;

INSERT INTO revocation_head (id, last, pruned) VALUES (1, 0, 0);
