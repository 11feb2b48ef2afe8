-- Retention of the audit log: whole tables of a class and a month go, the tree's
-- hashes stay. What goes is written down first, to the bit: pruned_segments, to
-- whose rows an event audit.pruned commits. That event, and those that tell an
-- organization's plan, lie in a class of their own, which nothing prunes.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE events_record (LIKE events INCLUDING ALL, UNIQUE (sequence), UNIQUE (event_id));

-- The events of before that belong there.
ALTER TABLE events DISABLE TRIGGER events_refuse;
GRANT DELETE ON events TO CURRENT_USER;
WITH moved AS (
    DELETE FROM events AS e USING event_verbs AS v
    WHERE v.verb = e.verb AND v.action IN ('administrator.bootstrapped', 'organization.created', 'organization.updated')
    RETURNING e.sequence, e.timestamp, e.kind, e.verb, e.event_id, e.agent_id, e.body)
INSERT INTO events_record (sequence, timestamp, kind, verb, retention, event_id, agent_id, body)
SELECT sequence, timestamp, kind, verb, 'record', event_id, agent_id, body FROM moved;
REVOKE DELETE ON events FROM CURRENT_USER;
ALTER TABLE events ENABLE TRIGGER events_refuse;

ALTER TABLE events ATTACH PARTITION events_record FOR VALUES IN ('record');
CREATE TRIGGER partition_refuses BEFORE INSERT OR TRUNCATE ON events_record FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON events_record FROM PUBLIC, CURRENT_USER;

-- Which sequences of a segment a pruning takes: get_bit(bitmap, sequence & 4095).
-- The digest names the pruning and is the one that its event carries.
CREATE TABLE pruned_segments (
    segment bigint NOT NULL CHECK (segment >= 0),
    pruning bytea  NOT NULL CHECK (length(pruning) = 32),
    bitmap  bytea  NOT NULL CHECK (length(bitmap) = 512),
    PRIMARY KEY (segment, pruning)
);

CREATE TRIGGER pruned_segments_refuse BEFORE UPDATE OR DELETE ON pruned_segments FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER pruned_segments_refuse_truncate BEFORE TRUNCATE ON pruned_segments FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
REVOKE UPDATE, DELETE, TRUNCATE ON pruned_segments FROM PUBLIC, CURRENT_USER;

-- event_prune drops the table of a class and of the month of a Unix millisecond,
-- and says whether it is gone. It runs with its owner's rights, and so trusts its
-- caller in nothing: the month must have ended 30 days ago by the server's clock,
-- and every event in it must be written down. The log is looked through while
-- everybody works; the lock that keeps them out is taken for no more than the
-- drop, and only if it comes within a tenth of a second. What was appended in
-- between shows in the highest sequence: sequences only rise.
-- +goose StatementBegin
CREATE FUNCTION event_prune(class text, at bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '100ms' AS $$
DECLARE
    month  timestamptz := date_trunc('month', to_timestamp(at / 1000.0));
    leaf   text := format('events_%s_%s', class, to_char(month, 'YYYY_MM'));
    kept   boolean;
    newest bigint;
    latest bigint;
BEGIN
    IF class IS NULL OR class NOT IN ('free', 'custom') OR at IS NULL THEN
        RAISE EXCEPTION 'events of class % are not pruned', class USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF month + interval '1 month 30 days' > clock_timestamp() THEN
        RAISE EXCEPTION 'the month % is too young to be pruned', to_char(month, 'YYYY-MM') USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'event_prune must see what is appended meanwhile' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT pg_try_advisory_xact_lock(4703115946216386885) THEN
        RETURN false; -- another replica is at it
    END IF;
    IF to_regclass(quote_ident(leaf)) IS NULL THEN
        RETURN true;
    END IF;
    EXECUTE format('SELECT max(sequence) FROM %I', leaf) INTO newest;
    EXECUTE format('SELECT EXISTS (
        SELECT 1 FROM %I AS e
        WHERE NOT EXISTS (
            SELECT 1 FROM pruned_segments AS p
            WHERE p.segment = e.sequence >> 12 AND get_bit(p.bitmap, (e.sequence & 4095)::integer) = 1))', leaf) INTO kept;
    IF kept THEN
        RETURN false;
    END IF;
    -- DETACH locks both tables; LOCK would ask for rights that nobody has.
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', 'events_' || class, leaf);
    EXECUTE format('SELECT max(sequence) FROM %I', leaf) INTO latest;
    IF latest IS DISTINCT FROM newest THEN
        RAISE EXCEPTION 'an event of % was appended meanwhile', leaf USING ERRCODE = 'lock_not_available';
    END IF;
    EXECUTE format('DROP TABLE %I', leaf);
    RETURN true;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION event_prune(text, bigint) FROM PUBLIC;

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT, INSERT ON pruned_segments TO agentidp_service;
        GRANT EXECUTE ON FUNCTION event_prune(text, bigint) TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
