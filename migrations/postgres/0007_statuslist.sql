-- Token Status Lists (draft-ietf-oauth-status-list): which indexes were given to
-- replicas, in blocks. Nothing is kept about single tokens.

-- +goose Up
CREATE TABLE status_lists (
    id       bigint NOT NULL PRIMARY KEY,
    used     bigint NOT NULL CHECK (used BETWEEN 1 AND 1048576), -- indexes given out, from the list's first on
    taken_at bigint NOT NULL                                     -- when the last of them were
) WITH (fillfactor = 20); -- few rows, written in place

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON status_lists TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
