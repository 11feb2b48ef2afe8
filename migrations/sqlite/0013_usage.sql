-- The agents of an organization that used the most tokens in a month, without
-- reading the others: by the rank of their number, store.UsageRank, which has 32
-- steps between a number and its double. So a token seldom moves an agent in the
-- index, and never for the limits having changed.

-- +goose Up
ALTER TABLE token_usage ADD COLUMN organization_id TEXT NOT NULL DEFAULT ''; -- the agent's
ALTER TABLE token_usage ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;

UPDATE token_usage SET
    organization_id = (SELECT a.organization_id FROM agents AS a WHERE a.id = token_usage.agent_id),
    rank = (
        WITH RECURSIVE halvings (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM halvings WHERE n < 57)
        SELECT min(n * 32 + (token_usage.tokens >> n)) FROM halvings)
WHERE month >= CAST(strftime('%Y%m', 'now') AS INTEGER); -- nobody asks for those before

CREATE INDEX token_usage_ranked ON token_usage (organization_id, month, rank);
