-- The audit log. Lists of it run newest first over ten million rows and filter
-- on any mix of organization, agent, action, outcome and time. One index per
-- mix would cost a page write per index and row, spread over the whole log. So
-- the log is cut into segments of 4096 sequences, and every filter index starts
-- with the segment:
--   * a batch of appends touches only the index pages of the newest segment,
--     however long the log has grown;
--   * a list walks segments from the newest, seeks inside each, and stops when
--     its page is full: at ten million rows at most 2442 short seeks;
--   * event_segments says which segments a time range can touch, even if the
--     clock once went backwards; event_kinds says which segments hold a given
--     organization, action and outcome at all.
-- Both tables are derived from events and are no evidence.

-- +goose Up
CREATE TABLE events (
    sequence        INTEGER NOT NULL PRIMARY KEY CHECK (sequence >= 0),
    event_id        TEXT    NOT NULL UNIQUE,
    organization_id TEXT    NOT NULL,
    agent_id        TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    outcome         TEXT    NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
    timestamp       INTEGER NOT NULL,
    body            BLOB    NOT NULL, -- the RFC 8785 bytes that are the tree's leaf
    segment         INTEGER NOT NULL GENERATED ALWAYS AS (sequence >> 12) VIRTUAL
) STRICT;

CREATE INDEX events_by_agent ON events (segment, agent_id, action, outcome, organization_id);
CREATE INDEX events_by_kind ON events (segment, organization_id, action, outcome);

-- +goose StatementBegin
CREATE TRIGGER events_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE deletes without firing the trigger above; and a log has no
-- holes. FAIL, not ABORT: before the row there is nothing to undo, and SQLite
-- would copy every page it touches only to be able to.
-- +goose StatementBegin
CREATE TRIGGER events_continue BEFORE INSERT ON events
WHEN NEW.sequence <> (SELECT coalesce(max(sequence), -1) + 1 FROM events)
    OR EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id)
BEGIN
    SELECT RAISE(FAIL, 'events continue the log, each once');
END;
-- +goose StatementEnd

CREATE TABLE event_segments (
    segment INTEGER NOT NULL PRIMARY KEY,
    lowest  INTEGER NOT NULL, -- of the segment's timestamps
    highest INTEGER NOT NULL
) STRICT;

CREATE TABLE event_kinds (
    segment         INTEGER NOT NULL,
    organization_id TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    outcome         TEXT    NOT NULL,
    PRIMARY KEY (segment, organization_id, action, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE tree_head (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL -- leaves
) STRICT;

INSERT INTO tree_head (id, size) VALUES (1, 0);

-- The tree's hashes in storage order, 64 hashes of 32 bytes to a chunk, so that
-- a batch rewrites one chunk and adds a few instead of inserting a row per hash.
CREATE TABLE tree_hashes (
    chunk  INTEGER NOT NULL PRIMARY KEY CHECK (chunk >= 0),
    hashes BLOB    NOT NULL CHECK (length(hashes) BETWEEN 32 AND 2048 AND length(hashes) % 32 = 0)
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER tree_hashes_only_grow BEFORE UPDATE ON tree_hashes
WHEN NEW.chunk <> OLD.chunk OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes
BEGIN
    SELECT RAISE(ABORT, 'tree hashes are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER tree_hashes_never_deleted BEFORE DELETE ON tree_hashes
BEGIN
    SELECT RAISE(ABORT, 'tree hashes are append-only');
END;
-- +goose StatementEnd

CREATE TABLE checkpoints (
    id         INTEGER NOT NULL PRIMARY KEY,
    size       INTEGER NOT NULL,
    note       BLOB    NOT NULL, -- C2SP signed note
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX checkpoints_size ON checkpoints (size);

-- +goose StatementBegin
CREATE TRIGGER checkpoints_never_updated BEFORE UPDATE ON checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER checkpoints_never_deleted BEFORE DELETE ON checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER checkpoints_never_replaced BEFORE INSERT ON checkpoints
WHEN EXISTS (SELECT 1 FROM checkpoints WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;
-- +goose StatementEnd
