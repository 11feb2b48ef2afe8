-- Agents in the order of their email, and by what an email, id or owner begins with.

-- +goose Up
CREATE INDEX agents_by_email ON agents (organization_id, email, id) INCLUDE (status, owner, agent_type, environment);
CREATE INDEX agents_by_id ON agents (organization_id, id);
CREATE INDEX agents_by_owner ON agents (organization_id, lower(owner), id); -- lower: of ASCII, under "C" as in SQLite
