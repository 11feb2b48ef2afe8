-- What 0016 keeps of the events that were there before it. Replicas go on writing:
-- see 0014. They stand only while the indexes are built, at the end.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

SELECT pg_advisory_lock(4703115946216386881);

SELECT pg_advisory_unlock(4703115946216386881);

UPDATE event_targets AS t SET agent_id = e.agent_id, kind = e.kind
FROM events AS e
WHERE t.kind IS NULL AND e.retention = t.retention AND e.timestamp = t.timestamp AND e.sequence = t.sequence;

DELETE FROM event_targets WHERE kind IS NULL; -- of no event: derived, and wrong

ALTER TABLE event_targets
    ALTER COLUMN agent_id SET NOT NULL,
    ALTER COLUMN kind SET NOT NULL,
    DROP CONSTRAINT event_targets_pkey,
    ADD PRIMARY KEY (target_agent_id, kind, sequence);

CREATE INDEX event_targets_by_agent ON event_targets (agent_id, target_agent_id, kind, sequence);
