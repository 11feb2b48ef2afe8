-- The agents of an organization that used the most tokens in a month, without
-- reading the others: by the rank of their number, store.UsageRank, which has 32
-- steps between a number and its double. So a token seldom moves an agent in the
-- index, and never for the limits having changed. An agent that a replica of the
-- version before counts takes its place with its next token.

-- +goose Up
ALTER TABLE token_usage ADD COLUMN organization_id text COLLATE "C" NOT NULL DEFAULT ''; -- the agent's
ALTER TABLE token_usage ADD COLUMN rank bigint NOT NULL DEFAULT 0;

UPDATE token_usage AS u SET
    organization_id = a.organization_id,
    rank = (SELECT min(n * 32 + (u.tokens >> n)) FROM generate_series(0, 57) AS halvings (n))
FROM agents AS a
WHERE a.id = u.agent_id
    AND u.month >= to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')::bigint; -- nobody asks for those before

CREATE INDEX token_usage_ranked ON token_usage (organization_id, month, rank);
