-- Whose deed it was that an event did to its target, and of which kind: so what is
-- rare among the deeds of a busy target is found without reading the others.
-- Replicas of the version before keep both too, by the trigger. 0017 has them for
-- the events from before.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE event_targets
    ADD COLUMN agent_id text COLLATE "C",
    ADD COLUMN kind     integer;

-- events_continue as in 0012, and it keeps whose deeds they are and of which kind.
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
        INSERT INTO event_targets (target_agent_id, agent_id, kind, sequence, timestamp, retention)
        SELECT event_target(a.body), a.agent_id, a.kind, a.sequence, a.timestamp, a.retention FROM added AS a WHERE event_target(a.body) <> a.agent_id;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
