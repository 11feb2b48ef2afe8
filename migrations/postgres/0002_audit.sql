-- The audit log.
--
-- Partitions. events is cut by retention class, then by calendar month (UTC) of
-- the timestamp: retention drops whole (class, month) tables, and never deletes
-- a row. The class is the plan of the event's organization when it is written.
-- event_month makes the tables of a month; a row without one makes the program
-- call it and insert again, so that no event fails for want of a table.
--
-- Lists run newest first over ten million rows and filter on any mix of
-- organization, agent, action, outcome and time. An event's organization,
-- action and outcome are one number, its kind; action and outcome alone are its
-- verb. Both dictionaries are small and only grow. Three narrow indexes
-- (kind, verb, agent and kind; each ending in sequence) then answer every mix: a
-- list looks up which kinds or verbs its filter means, takes the newest of each
-- from the index, window of sequences by window, and merges. A time range
-- becomes a range of sequences by event_segments, which knows the times of every
-- 4096 sequences, even if the clock once went backwards; single timestamps
-- decide only at its ends. Dictionaries and segments are derived from events
-- and are no evidence.
--
-- Append-only, three lines deep: nobody is granted UPDATE, DELETE or TRUNCATE,
-- the owner's own grants are revoked, partitions included; triggers refuse them
-- from a superuser too; and whoever disables those is found by the tree and the
-- signed checkpoints. A partition takes no INSERT but through events.
--
-- Roles. What a role owns, it can DROP, and it can grant itself what was
-- revoked. So let one role own the schema and migrate (DATABASE_DIRECT_URL), and
-- another serve (DATABASE_URL):
--   CREATE ROLE agentidp_service NOLOGIN;           -- before the first migration
--   CREATE ROLE agentidp_app LOGIN PASSWORD '…' IN ROLE agentidp_service;
-- The migrations grant agentidp_service what serving needs, and no more.
-- Partitions belong to the schema's owner whoever's call made them: event_month
-- runs with its owner's rights.

-- +goose Up

-- Functions below that run with their owner's rights look names up here only,
-- whatever the caller has set.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- And nobody else may put functions there that they would call by mistake.
-- +goose StatementBegin
DO $$
BEGIN
    IF has_schema_privilege('public', current_schema(), 'CREATE') THEN
        RAISE EXCEPTION 'everybody may create objects in schema %: revoke that first (REVOKE CREATE ON SCHEMA % FROM PUBLIC)', current_schema(), current_schema();
    END IF;
END $$;
-- +goose StatementEnd

CREATE TABLE event_verbs (
    verb    smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action  text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
    UNIQUE (action, outcome)
);

CREATE TABLE event_kinds (
    kind            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text     COLLATE "C" NOT NULL,
    verb            smallint NOT NULL, -- no foreign key: its check would need UPDATE on event_verbs
    UNIQUE (organization_id, verb)
);

CREATE TABLE event_segments (
    segment bigint NOT NULL PRIMARY KEY, -- sequence >> 12
    lowest  bigint NOT NULL,             -- of the segment's timestamps
    highest bigint NOT NULL
) WITH (fillfactor = 70); -- the newest is written in place

-- The next sequence. It outlives the events that retention drops.
CREATE TABLE event_head (
    id   integer NOT NULL PRIMARY KEY CHECK (id = 1),
    next bigint  NOT NULL
) WITH (fillfactor = 20); -- one row, written in place

INSERT INTO event_head (id, next) VALUES (1, 0);

CREATE TABLE events (
    sequence  bigint   NOT NULL,
    timestamp bigint   NOT NULL,
    kind      integer  NOT NULL,
    verb      smallint NOT NULL, -- the kind's
    retention text     COLLATE "C" NOT NULL,
    event_id  text     COLLATE "C" NOT NULL,
    agent_id  text     COLLATE "C" NOT NULL,
    body      bytea    NOT NULL -- the RFC 8785 bytes that are the tree's leaf
) PARTITION BY LIST (retention);

CREATE TABLE events_free PARTITION OF events FOR VALUES IN ('free') PARTITION BY RANGE (timestamp);
CREATE TABLE events_custom PARTITION OF events FOR VALUES IN ('custom') PARTITION BY RANGE (timestamp);

CREATE INDEX events_by_kind ON events (kind, sequence);
CREATE INDEX events_by_verb ON events (verb, sequence);
CREATE INDEX events_by_agent ON events (agent_id, kind, sequence);

CREATE TABLE tree_head (
    id   integer NOT NULL PRIMARY KEY CHECK (id = 1),
    size bigint  NOT NULL -- leaves
) WITH (fillfactor = 20); -- one row, written in place

INSERT INTO tree_head (id, size) VALUES (1, 0);

-- The tree's hashes in storage order, 32 to a chunk. A row holds those that one
-- append added to a chunk: rows are only ever inserted. PLAIN: hashes do not
-- compress, and a page read is enough.
CREATE TABLE tree_hashes (
    chunk  bigint   NOT NULL CHECK (chunk >= 0),
    place  smallint NOT NULL CHECK (place BETWEEN 0 AND 31), -- of the row's first hash in the chunk
    hashes bytea    NOT NULL CHECK (length(hashes) % 32 = 0 AND length(hashes) / 32 BETWEEN 1 AND 32 - place),
    PRIMARY KEY (chunk, place)
);

ALTER TABLE tree_hashes ALTER COLUMN hashes SET STORAGE PLAIN;

CREATE TABLE checkpoints (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size       bigint NOT NULL,
    note       bytea  NOT NULL, -- C2SP signed note
    created_at bigint NOT NULL
);

CREATE INDEX checkpoints_size ON checkpoints (size, id);

-- event_kind numbers an organization, action and outcome.
-- +goose StatementBegin
CREATE FUNCTION event_kind(organization text, done text, result text, OUT kind integer, OUT verb smallint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    SELECT k.kind, k.verb INTO kind, verb
    FROM event_verbs AS v JOIN event_kinds AS k ON k.organization_id = organization AND k.verb = v.verb
    WHERE v.action = done AND v.outcome = result;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT v.verb INTO verb FROM event_verbs AS v WHERE v.action = done AND v.outcome = result;
    IF NOT FOUND THEN
        INSERT INTO event_verbs AS v (action, outcome) VALUES (done, result) RETURNING v.verb INTO verb;
    END IF;
    INSERT INTO event_kinds AS k (organization_id, verb) VALUES (organization, event_kind.verb) RETURNING k.kind INTO kind;
END $$;
-- +goose StatementEnd

-- Every INSERT into events must continue the log, whoever makes it, and keeps
-- the segments. The row of event_head is also what serializes two inserts.
-- +goose StatementBegin
CREATE FUNCTION events_continue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    batch record;
BEGIN
    IF TG_RELID <> 'events'::regclass THEN
        RAISE EXCEPTION 'events_continue is the trigger of events alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT min(a.sequence) AS first, max(a.sequence) AS last, count(DISTINCT a.sequence) AS different, count(*) AS total
    INTO batch FROM added AS a;
    IF batch.total = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE event_head SET next = batch.last + 1
    WHERE id = 1 AND next = batch.first AND batch.last - batch.first + 1 = batch.total AND batch.different = batch.total;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'events from % to % do not continue the log', batch.first, batch.last USING ERRCODE = 'unique_violation';
    END IF;
    INSERT INTO event_segments AS s (segment, lowest, highest)
    SELECT a.sequence >> 12, min(a.timestamp), max(a.timestamp) FROM added AS a GROUP BY 1
    ON CONFLICT (segment) DO UPDATE SET lowest = least(s.lowest, excluded.lowest), highest = greatest(s.highest, excluded.highest);
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER events_continue AFTER INSERT ON events
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION events_continue();

-- +goose StatementBegin
CREATE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% refuses %: the audit log is append-only', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd

-- event_month makes the partitions that events of the month of a Unix
-- millisecond need. ATTACH, not PARTITION OF: it waits for no reader.
-- +goose StatementBegin
CREATE FUNCTION event_month(at bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', to_timestamp(at / 1000.0));
    class text;
    leaf  text;
BEGIN
    PERFORM pg_advisory_xact_lock(4703115946216386882); -- one maker at a time
    FOREACH class IN ARRAY ARRAY['free', 'custom'] LOOP
        leaf := format('events_%s_%s', class, to_char(month, 'YYYY_MM'));
        CONTINUE WHEN to_regclass(quote_ident(leaf)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL, UNIQUE (sequence), UNIQUE (event_id))', leaf);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', 'events_' || class, leaf,
            extract(epoch FROM month)::bigint * 1000, extract(epoch FROM month + interval '1 month')::bigint * 1000);
        EXECUTE format('CREATE TRIGGER partition_refuses BEFORE INSERT OR TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', leaf);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %I FROM PUBLIC, CURRENT_USER', leaf);
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE TRIGGER events_refuse BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events_free FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events_custom FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER events_refuse_insert BEFORE INSERT ON events_free FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER events_refuse_insert BEFORE INSERT ON events_custom FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER event_verbs_refuse BEFORE UPDATE OR DELETE ON event_verbs FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER event_verbs_refuse_truncate BEFORE TRUNCATE ON event_verbs FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER event_kinds_refuse BEFORE UPDATE OR DELETE ON event_kinds FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER event_kinds_refuse_truncate BEFORE TRUNCATE ON event_kinds FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER tree_hashes_refuse BEFORE UPDATE OR DELETE ON tree_hashes FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER tree_hashes_refuse_truncate BEFORE TRUNCATE ON tree_hashes FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER checkpoints_refuse BEFORE UPDATE OR DELETE ON checkpoints FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER checkpoints_refuse_truncate BEFORE TRUNCATE ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

REVOKE UPDATE, DELETE, TRUNCATE ON events, event_verbs, event_kinds, tree_hashes, checkpoints FROM PUBLIC, CURRENT_USER;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON events_free, events_custom FROM PUBLIC, CURRENT_USER;
REVOKE EXECUTE ON FUNCTION event_kind(text, text, text), event_month(bigint), events_continue(), audit_refuse() FROM PUBLIC;

SELECT event_month((extract(epoch FROM now() + months * interval '1 month') * 1000)::bigint) FROM generate_series(0, 2) AS months;

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT ON events, event_verbs, event_kinds, event_segments, event_head, tree_head, tree_hashes, checkpoints TO agentidp_service;
        GRANT INSERT ON events, tree_hashes, checkpoints TO agentidp_service;
        GRANT UPDATE ON tree_head TO agentidp_service;
        GRANT EXECUTE ON FUNCTION event_kind(text, text, text), event_month(bigint) TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
