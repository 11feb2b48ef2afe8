-- Retention of the audit log: rows of events go a month and a class at a time,
-- the tree's hashes stay. What goes is written down first, to the bit:
-- pruned_segments, to whose rows an event audit.pruned commits.

-- +goose Up

-- How long the event is kept: as the plan of its organization was when it was
-- written. What says how long events are kept, is kept for ever: record.
ALTER TABLE events ADD COLUMN retention TEXT NOT NULL DEFAULT 'custom' CHECK (retention IN ('free', 'custom', 'record'));

DROP TRIGGER events_never_updated;
DROP TRIGGER events_never_deleted;

-- Events from before this column: the plan as the log tells its changes, or as it is.
CREATE TABLE plan_changes (
    organization_id TEXT    NOT NULL,
    sequence        INTEGER NOT NULL,
    was             TEXT    NOT NULL,
    plan            TEXT    NOT NULL,
    PRIMARY KEY (organization_id, sequence)
) STRICT, WITHOUT ROWID;

INSERT INTO plan_changes (organization_id, sequence, was, plan)
SELECT organization_id, sequence, json_extract(CAST(body AS TEXT), '$.metadata.planFrom'), json_extract(CAST(body AS TEXT), '$.metadata.planTo')
FROM events
WHERE action = 'organization.updated' AND outcome = 'success' AND json_extract(CAST(body AS TEXT), '$.metadata.planTo') IS NOT NULL;

UPDATE events SET retention = 'free'
WHERE 'free' = coalesce(
    (SELECT c.plan FROM plan_changes AS c WHERE c.organization_id = events.organization_id AND c.sequence <= events.sequence ORDER BY c.sequence DESC LIMIT 1),
    (SELECT c.was FROM plan_changes AS c WHERE c.organization_id = events.organization_id ORDER BY c.sequence LIMIT 1),
    (SELECT o.plan FROM organizations AS o WHERE o.id = events.organization_id));

UPDATE events SET retention = 'record'
WHERE action IN ('administrator.bootstrapped', 'organization.created', 'organization.updated');

DROP TABLE plan_changes;

-- What a month of a class holds, without reading the events.
CREATE INDEX events_by_retention ON events (retention, timestamp);

-- Which sequences of a segment a pruning takes: bit 0 is the lowest bit of the
-- first byte. The digest names the pruning and is the one that its event carries.
CREATE TABLE pruned_segments (
    segment INTEGER NOT NULL CHECK (segment >= 0),
    pruning BLOB    NOT NULL CHECK (length(pruning) = 32),
    bitmap  BLOB    NOT NULL CHECK (length(bitmap) = 512),
    PRIMARY KEY (segment, pruning)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER pruned_segments_never_updated BEFORE UPDATE ON pruned_segments
BEGIN
    SELECT RAISE(ABORT, 'prunings are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER pruned_segments_never_deleted BEFORE DELETE ON pruned_segments
BEGIN
    SELECT RAISE(ABORT, 'prunings are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER pruned_segments_never_replaced BEFORE INSERT ON pruned_segments
WHEN EXISTS (SELECT 1 FROM pruned_segments WHERE segment = NEW.segment AND pruning = NEW.pruning)
BEGIN
    SELECT RAISE(ABORT, 'prunings are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER events_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
-- +goose StatementEnd

-- Only what is written down may go. SQLite reads a bit by way of its hex digit.
-- +goose StatementBegin
CREATE TRIGGER events_only_pruned BEFORE DELETE ON events
WHEN NOT EXISTS (
    SELECT 1 FROM pruned_segments AS p
    WHERE p.segment = OLD.sequence >> 12
        AND (instr('0123456789ABCDEF', substr(hex(substr(p.bitmap, 1 + (OLD.sequence & 4095) / 8, 1)), 2 - ((OLD.sequence & 7) >> 2), 1)) - 1) >> (OLD.sequence & 3) & 1)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
-- +goose StatementEnd
