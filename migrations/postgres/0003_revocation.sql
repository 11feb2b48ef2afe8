-- +goose Up
CREATE TABLE revocations (
    seq        bigint NOT NULL PRIMARY KEY,
    type       text   COLLATE "C" NOT NULL CHECK (type IN ('organization', 'agent', 'credential', 'jti', 'kid')),
    id         text   COLLATE "C" NOT NULL,
    epoch      bigint NOT NULL,
    expires_at bigint,
    reason     text   COLLATE "C" NOT NULL,
    at         bigint NOT NULL
);

CREATE INDEX revocations_named ON revocations (type, id);
CREATE INDEX revocations_expiring ON revocations (expires_at) WHERE type = 'jti';
CREATE INDEX revocations_aging ON revocations (at) WHERE type IN ('organization', 'agent', 'credential');

-- Kept apart from the rows: pruning must not give a sequence out twice, nor may
-- a transaction that was rolled back leave a gap, as a sequence object would.
CREATE TABLE revocation_head (
    id     integer NOT NULL PRIMARY KEY CHECK (id = 1),
    last   bigint  NOT NULL, -- highest seq ever given
    pruned bigint  NOT NULL  -- highest seq ever pruned
) WITH (fillfactor = 20); -- one row, written in place

INSERT INTO revocation_head (id, last, pruned) VALUES (1, 0, 0);

-- Raised by every transaction that changed a revocation or a key: what
-- replicas poll while they cannot LISTEN.
CREATE TABLE changes (
    id     integer NOT NULL PRIMARY KEY CHECK (id = 1),
    number bigint  NOT NULL
) WITH (fillfactor = 20);

INSERT INTO changes (id, number) VALUES (1, 0);

-- Client assertions that were used, until they expire.
CREATE TABLE assertions (
    client_id  text   COLLATE "C" NOT NULL,
    jti        text   COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (client_id, jti)
);

CREATE INDEX assertions_expiring ON assertions (expires_at);
