-- Token Status Lists (draft-ietf-oauth-status-list): which indexes were given to
-- replicas, in blocks. Nothing is kept about single tokens.

-- +goose Up
CREATE TABLE status_lists (
    id       INTEGER NOT NULL PRIMARY KEY,
    used     INTEGER NOT NULL CHECK (used BETWEEN 1 AND 1048576), -- indexes given out, from the list's first on
    taken_at INTEGER NOT NULL                                     -- when the last of them were
) STRICT;
