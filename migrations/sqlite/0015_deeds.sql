-- What else a list of the deeds done to an agent narrows by, beside the target: so
-- what is rare among the deeds of a busy target is found without reading the others.

-- +goose Up
ALTER TABLE event_targets ADD COLUMN organization_id TEXT NOT NULL DEFAULT '';
ALTER TABLE event_targets ADD COLUMN agent_id TEXT NOT NULL DEFAULT '';
ALTER TABLE event_targets ADD COLUMN action TEXT NOT NULL DEFAULT '';
ALTER TABLE event_targets ADD COLUMN outcome TEXT NOT NULL DEFAULT '';

UPDATE event_targets AS t SET organization_id = e.organization_id, agent_id = e.agent_id, action = e.action, outcome = e.outcome
FROM events AS e
WHERE e.sequence = t.sequence;
