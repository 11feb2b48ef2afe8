-- Agents in the order of their email, and by what an email, id or owner begins with.

-- +goose Up

-- A page comes in order from the first three columns; the rest lets every
-- filter be held against the index alone, as in agents_listed.
CREATE INDEX agents_by_email ON agents (organization_id, email, id, status, owner, agent_type, environment);
CREATE INDEX agents_by_id ON agents (organization_id, id);
CREATE INDEX agents_by_owner ON agents (organization_id, lower(owner), id); -- lower: of ASCII, here as in PostgreSQL under "C"
