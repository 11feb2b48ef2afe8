-- The targets of the events from before 0012. From its commit on the trigger keeps
-- those that are appended, but for a transaction that began under the one before:
-- whoever had the writers' lock once has waited for that, and its events are seen
-- by what comes next. The lock is not kept, so replicas go on writing meanwhile.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

SELECT pg_advisory_lock(4703115946216386881);

SELECT pg_advisory_unlock(4703115946216386881);

INSERT INTO event_targets (target_agent_id, sequence, timestamp, retention)
SELECT event_target(body), sequence, timestamp, retention
FROM events
WHERE event_target(body) <> agent_id
ON CONFLICT DO NOTHING;
