-- What was done to an agent by others, newest first: its events by the agent that
-- they name as their target. Few events name one, and none that a token or a
-- decision writes. As the other tables beside events it is derived from them and
-- no evidence. Replicas of the version before keep it too, by the trigger. 0014 has
-- the events from before it.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE event_targets (
    target_agent_id text   COLLATE "C" NOT NULL,
    sequence        bigint NOT NULL,
    -- Where the event lies: so a list looks into one partition for each.
    timestamp       bigint NOT NULL,
    retention       text   COLLATE "C" NOT NULL,
    PRIMARY KEY (target_agent_id, sequence)
);

-- event_target is the text that follows the first "targetAgentId":" of an event's
-- bytes, NULL where there is none: no text in RFC 8785 holds a quote that is not
-- escaped. It cannot fail, whatever the bytes are; 64 of them are more than a UUID.
-- +goose StatementBegin
CREATE FUNCTION event_target(body bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN position('"targetAgentId":"'::bytea IN body) > 0 THEN
        nullif(split_part(encode(substring(body FROM position('"targetAgentId":"'::bytea IN body) + 17 FOR 64), 'escape'), '"', 1), '')
    END
$$;
-- +goose StatementEnd

-- events_continue as in 0002, and it keeps the targets.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION events_continue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    batch record;
BEGIN
    IF TG_RELID <> 'events'::regclass THEN
        RAISE EXCEPTION 'events_continue is the trigger of events alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT min(a.sequence) AS first, max(a.sequence) AS last, count(DISTINCT a.sequence) AS different, count(*) AS total,
        bool_or(position('"targetAgentId":"'::bytea IN a.body) > 0) AS targets
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
    IF batch.targets THEN
        INSERT INTO event_targets (target_agent_id, sequence, timestamp, retention)
        SELECT event_target(a.body), a.sequence, a.timestamp, a.retention FROM added AS a WHERE event_target(a.body) <> a.agent_id;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- event_prune as in 0006, and it forgets the targets of what it drops. They go
-- before anybody is locked out, and stay if the drop does not come to pass.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_prune(class text, at bigint) RETURNS boolean
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
    DELETE FROM event_targets AS t
    WHERE t.retention = class AND t.timestamp >= extract(epoch FROM month)::bigint * 1000
        AND t.timestamp < extract(epoch FROM month + interval '1 month')::bigint * 1000;
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

REVOKE EXECUTE ON FUNCTION event_target(bytea) FROM PUBLIC;

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT ON event_targets TO agentidp_service;
        GRANT EXECUTE ON FUNCTION event_target(bytea) TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
