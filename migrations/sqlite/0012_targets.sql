-- What was done to an agent by others, newest first: its events by the agent that
-- they name as their target. Few events name one, and none that a token or a
-- decision writes, so there is no need of segments.
--
-- An event's target is the text that follows the first "targetAgentId":" of its
-- bytes: no text in RFC 8785 holds a quote that is not escaped. As the other
-- tables beside events it is derived from them and no evidence.

-- +goose Up
CREATE TABLE event_targets (
    target_agent_id TEXT    NOT NULL,
    sequence        INTEGER NOT NULL,
    PRIMARY KEY (target_agent_id, sequence)
) STRICT, WITHOUT ROWID;

INSERT INTO event_targets (target_agent_id, sequence)
SELECT named.target, named.sequence
FROM (
    SELECT marked.sequence, marked.agent_id, substr(marked.rest, 1, instr(marked.rest, '"') - 1) AS target
    FROM (
        SELECT sequence, agent_id, substr(CAST(body AS TEXT), instr(CAST(body AS TEXT), '"targetAgentId":"') + 17) AS rest
        FROM events
        WHERE instr(body, CAST('"targetAgentId":"' AS BLOB)) > 0) AS marked) AS named
WHERE named.target <> '' AND named.target <> named.agent_id;

-- Whatever is pruned is not found any more. The IdP inserts by itself: a trigger
-- would look through the bytes of every event.
-- +goose StatementBegin
CREATE TRIGGER events_forget_target AFTER DELETE ON events
WHEN instr(OLD.body, CAST('"targetAgentId":"' AS BLOB)) > 0
BEGIN
    DELETE FROM event_targets
    WHERE sequence = OLD.sequence AND target_agent_id = (
        SELECT substr(marked.rest, 1, instr(marked.rest, '"') - 1)
        FROM (SELECT substr(CAST(OLD.body AS TEXT), instr(CAST(OLD.body AS TEXT), '"targetAgentId":"') + 17) AS rest) AS marked);
END;
-- +goose StatementEnd
